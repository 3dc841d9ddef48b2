package io.github.edgenima.app

import android.app.Activity
import android.util.Size
import android.view.View
import androidx.camera.core.CameraSelector
import androidx.camera.core.ImageAnalysis
import androidx.camera.core.ImageProxy
import androidx.camera.core.Preview
import androidx.camera.core.resolutionselector.ResolutionSelector
import androidx.camera.core.resolutionselector.ResolutionStrategy
import androidx.camera.lifecycle.ProcessCameraProvider
import androidx.camera.view.PreviewView
import androidx.core.content.ContextCompat
import androidx.lifecycle.Lifecycle
import androidx.lifecycle.LifecycleOwner
import androidx.lifecycle.LifecycleRegistry
import io.github.edgenima.core.CameraBuffer
import io.github.edgenima.core.Layout
import io.github.edgenima.core.PictureRejected
import io.github.edgenima.core.Plane
import io.github.edgenima.core.reason
import java.util.concurrent.ExecutionException
import java.util.concurrent.Executor

/** Frames of a phone's camera, by CameraX. */
class CameraXFrames(private val activity: Activity) : Frames, LifecycleOwner {
    private val registry = LifecycleRegistry(this)
    private val view = PreviewView(activity)
    private var provider: ProcessCameraProvider? = null
    private var wanted = 0

    override val lifecycle: Lifecycle get() = registry
    override val preview: View get() = view

    override fun start(facing: Facing, executor: Executor, sink: FrameSink) {
        registry.currentState = Lifecycle.State.RESUMED
        val mine = ++wanted
        val opening = ProcessCameraProvider.getInstance(activity)
        opening.addListener({
            // Stopped, or started again, while the camera's service was being asked.
            if (mine != wanted) return@addListener
            try {
                bind(opening.get().also { provider = it }, facing, executor, sink)
            } catch (error: ExecutionException) {
                sink.problem(reason(error.cause ?: error))
            } catch (error: IllegalArgumentException) {
                sink.problem(reason(error))
            } catch (error: IllegalStateException) {
                sink.problem(reason(error))
            }
        }, ContextCompat.getMainExecutor(activity))
    }

    override fun stop() {
        wanted++
        provider?.unbindAll()
        registry.currentState = Lifecycle.State.CREATED
    }

    private fun bind(provider: ProcessCameraProvider, facing: Facing, executor: Executor, sink: FrameSink) {
        val camera =
            if (facing == Facing.BACK) CameraSelector.DEFAULT_BACK_CAMERA else CameraSelector.DEFAULT_FRONT_CAMERA
        val preview = Preview.Builder().build()
        preview.setSurfaceProvider(view.surfaceProvider)
        val size = ResolutionStrategy(FRAME, ResolutionStrategy.FALLBACK_RULE_CLOSEST_LOWER_THEN_HIGHER)
        val analysis = ImageAnalysis.Builder()
            .setBackpressureStrategy(ImageAnalysis.STRATEGY_KEEP_ONLY_LATEST)
            .setOutputImageFormat(ImageAnalysis.OUTPUT_IMAGE_FORMAT_RGBA_8888)
            .setResolutionSelector(ResolutionSelector.Builder().setResolutionStrategy(size).build())
            .build()
        analysis.setAnalyzer(executor) { image ->
            try {
                image.use { sink.frame(buffer(it)) }
            } catch (error: PictureRejected) {
                sink.problem(reason(error))
            }
        }
        provider.unbindAll()
        provider.bindToLifecycle(this, camera, preview, analysis)
    }

    private fun buffer(image: ImageProxy): CameraBuffer {
        val plane = image.planes[0]
        // Not mirrored, the front camera neither: a score is for what others will see.
        return CameraBuffer(
            Layout.RGBA_8888,
            image.width,
            image.height,
            listOf(Plane(plane.buffer, plane.rowStride, plane.pixelStride)),
            image.imageInfo.rotationDegrees,
            mirror = false,
        )
    }

    private companion object {
        /** The bundled models reduce the longest edge to 640: of a larger frame the reading takes milliseconds more. */
        val FRAME = Size(640, 480)
    }
}
