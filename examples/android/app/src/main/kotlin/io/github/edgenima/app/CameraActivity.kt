package io.github.edgenima.app

import android.util.Size
import android.view.View
import androidx.activity.ComponentActivity
import androidx.camera.core.CameraSelector
import androidx.camera.core.ImageAnalysis
import androidx.camera.core.ImageProxy
import androidx.camera.core.Preview
import androidx.camera.core.resolutionselector.AspectRatioStrategy
import androidx.camera.core.resolutionselector.ResolutionSelector
import androidx.camera.core.resolutionselector.ResolutionStrategy
import androidx.camera.lifecycle.ProcessCameraProvider
import androidx.camera.view.PreviewView
import androidx.core.content.ContextCompat
import io.github.edgenima.core.CameraBuffer
import io.github.edgenima.core.Layout
import io.github.edgenima.core.PictureRejected
import io.github.edgenima.core.Plane
import io.github.edgenima.core.reason
import java.util.concurrent.ExecutionException

/** The screen with a phone's own camera. */
class CameraActivity : ScoringActivity() {
    override fun openFrames(): Frames = CameraXFrames(this)
}

/** Frames of a phone's camera, by CameraX. Picture and frames have one shape, and the whole of it is shown. */
private class CameraXFrames(private val activity: ComponentActivity) : Frames {
    private val view = PreviewView(activity).apply { scaleType = PreviewView.ScaleType.FIT_CENTER }
    private var provider: ProcessCameraProvider? = null
    private var wanted = 0

    override val preview: View get() = view

    override fun start(facing: Facing, model: ScoringViewModel) {
        val mine = ++wanted
        val opening = ProcessCameraProvider.getInstance(activity)
        opening.addListener({
            // Stopped, or started again, while the camera's service was being asked.
            if (mine != wanted) return@addListener
            try {
                bind(opening.get().also { provider = it }, facing, model)
            } catch (error: ExecutionException) {
                model.problem(reason(error.cause ?: error))
            } catch (error: RuntimeException) {
                // No such camera, or none that gives both streams.
                model.problem(reason(error))
            }
        }, ContextCompat.getMainExecutor(activity))
    }

    override fun stop() {
        wanted++
        provider?.unbindAll()
    }

    private fun bind(provider: ProcessCameraProvider, facing: Facing, model: ScoringViewModel) {
        val camera =
            if (facing == Facing.BACK) CameraSelector.DEFAULT_BACK_CAMERA else CameraSelector.DEFAULT_FRONT_CAMERA
        val preview = Preview.Builder().setResolutionSelector(shape().build()).build()
        preview.setSurfaceProvider(view.surfaceProvider)
        val size = ResolutionStrategy(FRAME, ResolutionStrategy.FALLBACK_RULE_CLOSEST_LOWER_THEN_HIGHER)
        val analysis = ImageAnalysis.Builder()
            .setBackpressureStrategy(ImageAnalysis.STRATEGY_KEEP_ONLY_LATEST)
            .setOutputImageFormat(ImageAnalysis.OUTPUT_IMAGE_FORMAT_RGBA_8888)
            .setResolutionSelector(shape().setResolutionStrategy(size).build())
            .build()
        analysis.setAnalyzer(model.executor) { image ->
            // From landscape to landscape the other way round no new activity is made.
            view.display?.let { analysis.targetRotation = it.rotation }
            try {
                image.use { model.frame(buffer(it)) }
            } catch (error: PictureRejected) {
                model.problem(reason(error))
            }
        }
        provider.unbindAll()
        provider.bindToLifecycle(activity, camera, preview, analysis)
    }

    private fun shape() =
        ResolutionSelector.Builder().setAspectRatioStrategy(AspectRatioStrategy.RATIO_4_3_FALLBACK_AUTO_STRATEGY)

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
