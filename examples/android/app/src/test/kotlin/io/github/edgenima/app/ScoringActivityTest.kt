package io.github.edgenima.app

import android.Manifest
import android.app.Activity
import android.app.AlertDialog
import android.app.Application
import android.content.Intent
import android.content.pm.PackageManager
import android.graphics.Bitmap
import android.graphics.Canvas
import android.net.Uri
import android.os.Looper
import android.provider.MediaStore
import android.view.View
import android.widget.Button
import android.widget.TextView
import androidx.core.content.FileProvider
import com.google.gson.JsonParser
import io.github.edgenima.core.Agreement
import io.github.edgenima.core.JvmTflite
import io.github.edgenima.core.Layout
import io.github.edgenima.core.Vectors
import io.github.edgenima.core.frame
import io.github.edgenima.core.readPicture
import java.io.ByteArrayInputStream
import java.io.File
import java.io.InputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.time.Duration
import kotlin.test.assertContains
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertNotNull
import kotlin.test.assertSame
import kotlin.test.assertTrue
import org.junit.Assume.assumeTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ActivityController
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.robolectric.shadows.ShadowDialog

/** The screen with a camera of the test's; LiteRT's stub runs the models. */
class TestActivity : ScoringActivity() {
    lateinit var camera: FakeFrames

    override fun openFrames(): Frames = FakeFrames(this).also { camera = it }
}

@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35])
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class ScoringActivityTest {
    private val app: Application get() = RuntimeEnvironment.getApplication()
    private lateinit var controller: ActivityController<TestActivity>
    private val activity: TestActivity get() = controller.get()

    /** Robolectric runs JUnit 4, which knows no skipped tests of JUnit 5. */
    private val vectors: Vectors by lazy {
        assumeTrue(Vectors.HINT, System.getenv("EDGE_NIMA_VECTORS") != null)
        Vectors.orSkip()
    }

    private fun start(allowed: Boolean = true) {
        if (allowed) shadowOf(app).grantPermissions(Manifest.permission.CAMERA)
        controller = Robolectric.buildActivity(TestActivity::class.java).setup().visible()
    }

    private fun startProven() {
        start()
        waitFor("the proof") { "Proven here" in text(R.id.proof) }
    }

    /** The screen with the vectors' model, which need not be the one in the app. */
    private fun startWithVectors() {
        val model = vectors.model
        start()
        choose(model)
        waitFor("the proof") { text(R.id.proof).startsWith(vectors.label) }
    }

    /** As somebody who opens a model. */
    private fun choose(model: () -> InputStream) = answer(R.id.open_model, Intent.ACTION_OPEN_DOCUMENT, MODEL, model)

    private fun choose(model: ByteArray) = choose { ByteArrayInputStream(model) }

    /** As somebody who picks a photograph. */
    private fun pick(file: ByteArray) =
        answer(R.id.open_photograph, MediaStore.ACTION_PICK_IMAGES, PHOTOGRAPH) { ByteArrayInputStream(file) }

    private fun answer(button: Int, action: String, uri: Uri, content: () -> InputStream) {
        shadowOf(app.contentResolver).registerInputStreamSupplier(uri, content)
        activity.need<Button>(button).performClick()
        val asked = shadowOf(activity).nextStartedActivityForResult
        assertEquals(action, asked.intent.action)
        shadowOf(activity).receiveResult(asked.intent, Activity.RESULT_OK, Intent().setData(uri))
    }

    /** The app is closed and started again. */
    private fun restart() {
        controller.pause().stop().destroy()
        start()
    }

    private fun <T : View> TestActivity.need(id: Int): T = window.decorView.need(id)

    private fun text(id: Int): String = activity.need<TextView>(id).text.toString()

    private fun shown(id: Int): Boolean = activity.need<View>(id).visibility == View.VISIBLE

    private fun waitFor(what: String, isSo: () -> Boolean) {
        val until = System.nanoTime() + Duration.ofSeconds(60).toNanos()
        while (true) {
            shadowOf(Looper.getMainLooper()).idle()
            if (isSo()) return
            if (System.nanoTime() > until) {
                error("$what did not come; it says ${text(R.id.message_title)}, ${text(R.id.message_text)}")
            }
            Thread.sleep(5)
        }
    }

    private fun buffer(name: String) = vectors.buffers.single { it["name"].asString == name }

    @Test
    fun `a frame's score is shown after the model proved itself`() {
        startWithVectors()
        val proven = "Proven here: ${vectors.probes} of ${vectors.probes} golden probes"
        assertEquals("${vectors.label}\n$proven", text(R.id.proof))
        assertFalse(shown(R.id.message) || shown(R.id.score))
        assertEquals(listOf(Facing.BACK), activity.camera.started)

        val told = buffer("nv12-camera-90")
        activity.camera.give(vectors.buffer(told))
        waitFor("the score") { shown(R.id.score) }
        val wanted = "Rated %.1f of 10, give or take %.1f".format(told["mean"].asDouble, told["std"].asDouble)
        val spoken = { activity.need<View>(R.id.score).contentDescription.toString() }
        assertEquals(wanted, spoken())
        picture("live")

        // A screen reader hears changes, and seldom.
        val mean = text(R.id.mean)
        activity.camera.give(vectors.buffer(buffer("rgba-even-0")))
        waitFor("the next score") { text(R.id.mean) != mean }
        assertEquals(wanted, spoken())
        shadowOf(Looper.getMainLooper()).idleFor(Duration.ofSeconds(6))
        activity.camera.give(vectors.buffer(buffer("rgba-even-0")))
        waitFor("the spoken score") { spoken() != wanted }
    }

    @Test
    @Config(qualifiers = "w411dp-h891dp-night")
    fun `the model in the app proves itself without a tap, and scores, in the dark too`() {
        start()
        waitFor("the proof") { "Proven here: " in text(R.id.proof) }
        activity.camera.give(frame(Layout.RGBA_8888, 640, 480, 90, mirror = false))
        waitFor("the score") { shown(R.id.score) }
        val spoken = activity.need<View>(R.id.score).contentDescription
        assertContains(spoken, Regex("Rated [0-9.]+ of 10, give or take [0-9.]+"))
        picture("night")
    }

    @Test
    fun `the proof is told probe by probe`() {
        startProven()
        activity.need<View>(R.id.proof).performClick()
        val dialog = assertNotNull(ShadowDialog.getLatestDialog())
        val said = dialog.findViewById<TextView>(android.R.id.message)!!.text
        assertContains(said, "flower, greyscale 241x160")
        assertContains(said, "Pixels: ")
        assertContains(said, "224x224, stretch, Pillow NEAREST (no antialias)")
    }

    @Test
    fun `a model that is refused shows why, and the one before goes on when asked to`() {
        startProven()
        val before = text(R.id.proof)
        choose("no model at all".toByteArray())
        waitFor("the refusal") { shown(R.id.message) && "not a .tflite" in text(R.id.message_text) }
        assertEquals("The model is not used", text(R.id.message_title))
        assertEquals("Not yet proven here", text(R.id.proof))
        picture("refused")
        activity.camera.give(frame(Layout.YUV_420_888, 640, 480, 90, mirror = false))
        controller.recreate()
        waitFor("the refusal") { "not a .tflite" in text(R.id.message_text) }
        assertFalse(shown(R.id.score))
        assertEquals("Keep the current model", text(R.id.message_action))
        activity.need<View>(R.id.message_action).performClick()
        waitFor("the proof") { text(R.id.proof) == before }
        assertFalse(shown(R.id.message))
        restart()
        waitFor("the proof") { text(R.id.proof) == before }
    }

    @Test
    fun `a model that was chosen is used whenever the app is started, until the bundled one is wanted`() {
        start()
        choose(File("../../../edge_nima/models/mobilenet-ava-float16.tflite").readBytes())
        waitFor("the proof") { text(R.id.proof).startsWith("mobilenet-ava-float16@") }
        val held = { app.contentResolver.persistedUriPermissions.map { it.uri } }
        assertEquals(listOf(MODEL), held())
        restart()
        waitFor("the proof") { text(R.id.proof).startsWith("mobilenet-ava-float16@") }
        activity.need<View>(R.id.proof).performClick()
        (ShadowDialog.getLatestDialog() as AlertDialog).getButton(AlertDialog.BUTTON_NEUTRAL).performClick()
        waitFor("the bundled model") { text(R.id.proof).startsWith("mobilenet-ava-int8-mixed@") }
        assertEquals(emptyList(), held())
    }

    @Test
    fun `a model that was chosen and is gone is told of, and the bundled one is a tap away`() {
        start()
        choose(File("../../../edge_nima/models/mobilenet-ava-float16.tflite").readBytes())
        waitFor("the proof") { text(R.id.proof).startsWith("mobilenet-ava-float16@") }
        shadowOf(app.contentResolver).registerInputStreamSupplier(MODEL) { throw SecurityException("not yours") }
        restart()
        waitFor("the refusal") { "the app that offers it does not allow it" in text(R.id.message_text) }
        assertEquals("Use the bundled model", text(R.id.message_action))
        activity.need<View>(R.id.message_action).performClick()
        waitFor("the proof") { text(R.id.proof).startsWith("mobilenet-ava-int8-mixed@") }
        restart()
        waitFor("the proof") { text(R.id.proof).startsWith("mobilenet-ava-int8-mixed@") }
    }

    @Test
    fun `turned, the phone shows what it showed, and nothing is proven again`() {
        startProven()
        activity.camera.give(frame(Layout.RGBA_8888, 640, 480, 90, mirror = false))
        waitFor("the score") { shown(R.id.score) }
        val model = { activity.camera.model.state.value.model }
        val before = model()
        val mean = text(R.id.mean)
        RuntimeEnvironment.setQualifiers("+land")
        controller.recreate()
        assertSame(before, model())
        waitFor("the score") { shown(R.id.score) }
        assertEquals(mean, text(R.id.mean))
        assertEquals(listOf(Facing.BACK), activity.camera.started)
        activity.camera.give(frame(Layout.RGBA_8888, 480, 640, 0, mirror = false))
        waitFor("the next score") { text(R.id.mean) != mean }
        picture("land")
    }

    @Test
    fun `a file without an end is refused before the memory is`() {
        startProven()
        val endless = object : InputStream() {
            override fun read() = 0

            override fun read(b: ByteArray, off: Int, len: Int) = len
        }
        choose { endless }
        waitFor("the refusal") { text(R.id.message_text) == "the model's file cannot be read: more than 64 MiB" }
    }

    @Test
    fun `a photograph is scored in the camera's place`() {
        startWithVectors()
        val told = vectors.pictures.last { it["format"].asString == "jpeg" }
        pick(vectors.bytes(told["file"]))
        waitFor("the score") { shown(R.id.score) }
        assertEquals(told["mean"].asDouble, text(R.id.mean).toDouble(), vectors.largestMeanGap + 0.005)
        assertTrue(shown(R.id.photograph))
        assertFalse(activity.camera.running || shown(R.id.message))
        picture("photograph")
        controller.recreate()
        waitFor("the score") { shown(R.id.score) && shown(R.id.photograph) }
        assertTrue(activity.camera.started.isEmpty())
        assertEquals("Back to the camera", text(R.id.camera))
        activity.need<View>(R.id.camera).performClick()
        waitFor("the camera") { activity.camera.running && !shown(R.id.photograph) }
        assertEquals("Other camera", text(R.id.camera))
    }

    @Test
    fun `a photograph that cannot be read is told, with no camera too`() {
        start(allowed = false)
        waitFor("the proof") { "Proven here" in text(R.id.proof) }
        pick("no picture at all".toByteArray())
        waitFor("the refusal") { text(R.id.message_title) == "The photograph cannot be scored" }
        assertContains(text(R.id.message_text), "not a picture that this phone reads")
        activity.need<View>(R.id.message_action).performClick()
        waitFor("the question") { text(R.id.message_title) == "The camera may not be used" }
    }

    @Test
    fun `without permission the camera stays closed, and the screen asks`() {
        start(allowed = false)
        waitFor("the question") { text(R.id.message_title) == "The camera may not be used" }
        assertTrue(activity.camera.started.isEmpty())
        assertEquals("Allow the camera", text(R.id.message_action))
        activity.need<Button>(R.id.message_action).performClick()
        val asked = shadowOf(activity).lastRequestedPermission
        assertEquals(listOf(Manifest.permission.CAMERA), asked.requestedPermissions.toList())

        val refused = intArrayOf(PackageManager.PERMISSION_DENIED)
        activity.onRequestPermissionsResult(asked.requestCode, asked.requestedPermissions, refused)
        waitFor("the settings") { text(R.id.message_action) == "Open settings" }
        activity.need<Button>(R.id.message_action).performClick()
        assertEquals("package:${app.packageName}", shadowOf(activity).nextStartedActivity.data.toString())

        shadowOf(app).grantPermissions(Manifest.permission.CAMERA)
        controller.stop().start()
        waitFor("the camera") { activity.camera.started == listOf(Facing.BACK) }
    }

    @Test
    fun `the other camera is opened, and kept when the phone is turned or the app started again`() {
        start()
        waitFor("the camera") { activity.camera.running }
        activity.need<Button>(R.id.camera).performClick()
        waitFor("the other camera") { activity.camera.started == listOf(Facing.BACK, Facing.FRONT) }
        controller.recreate()
        waitFor("the camera") { activity.camera.started == listOf(Facing.FRONT) }
        controller.pause().stop()
        assertFalse(activity.camera.running)
        restart()
        waitFor("the camera") { activity.camera.started == listOf(Facing.FRONT) }
    }

    @Test
    fun `a camera that cannot be opened is told, and tried again`() {
        startProven()
        activity.camera.model.problem("it is in use by another app")
        waitFor("the problem") { text(R.id.message_text) == "it is in use by another app" }
        assertFalse(activity.camera.running)
        activity.need<Button>(R.id.message_action).performClick()
        waitFor("the camera") { activity.camera.started.size == 2 }
        assertFalse(shown(R.id.message))
    }

    @Test
    fun `the best frame becomes a file that can be shared, and a line that the command line reads`() {
        startWithVectors()
        val names = listOf("rgba-camera-90", "nv12-camera-90")
        val told = names.map(::buffer)
        assertFalse(activity.need<View>(R.id.share_best).isEnabled)
        for (one in told) activity.camera.give(vectors.buffer(one))
        controller.pause().stop().start().resume()
        waitFor("the best") { activity.need<View>(R.id.share_best).isEnabled }

        val folder = BestPictures.folder(app)
        val file = folder.listFiles()!!.single { it.extension == "jpg" }
        val wanted = told.maxBy { it["mean"].asDouble }
        val decoded = BitmapDecoder.decode(file.readBytes())
        assertEquals(wanted["upright_width"].asInt to wanted["upright_height"].asInt, decoded.width to decoded.height)
        val line = JsonParser.parseString(File(folder, "scores.jsonl").readText()).asJsonObject
        assertEquals(file.name, line["name"].asString)
        assertEquals(file.length(), line["size"].asLong)
        assertEquals(vectors.label, line["model"].asString)
        assertEquals(wanted["mean"].asDouble, line["mean"].asDouble, 0.03)

        activity.need<Button>(R.id.share_best).performClick()
        val send = shadowOf(activity).nextStartedActivity.getParcelableExtra(Intent.EXTRA_INTENT, Intent::class.java)!!
        val uri = send.getParcelableExtra(Intent.EXTRA_STREAM, Uri::class.java)!!
        assertEquals(Intent.FLAG_GRANT_READ_URI_PERMISSION, send.flags and Intent.FLAG_GRANT_READ_URI_PERMISSION)
        assertContains(send.getStringExtra(Intent.EXTRA_TEXT)!!, vectors.label)
        assertEquals("${app.packageName}.pictures", uri.authority)
        assertContentEquals(file.readBytes(), app.contentResolver.openInputStream(uri)!!.use { it.readBytes() })
        val elsewhere = File(app.filesDir, "settings").apply { writeText("private") }
        assertFailsWith<IllegalArgumentException> { FileProvider.getUriForFile(app, uri.authority!!, elsewhere) }
    }

    @Test
    fun `LiteRT's model has the tensors that TensorFlow Lite tells of`() {
        val model = app.assets.open("model.tflite").use { it.readBytes() }
        val direct = ByteBuffer.allocateDirect(model.size).order(ByteOrder.nativeOrder()).put(model)
        direct.rewind()
        JvmTflite(direct).use { wanted ->
            LiteRtModel(direct, app.cacheDir).use { given ->
                assertEquals(wanted.inputs, given.inputs)
                assertEquals(wanted.outputs, given.outputs)
            }
        }
        assertEquals(emptyList(), app.cacheDir.listFiles()!!.filter { it.name.endsWith(".tflite") })
    }

    @Test
    fun `Android's decoder gives the pixels of the command line`() {
        for (kind in listOf("png", "jpeg")) {
            val all = Agreement()
            for (told in vectors.pictures.filter { it["format"].asString == kind }) {
                val picture = readPicture(vectors.bytes(told["file"]), BitmapDecoder)
                all.add(picture.rgb, vectors.upright(told).rgb)
            }
            println("pictures, $kind, decoded by Android: $all")
            assertTrue(all.largest <= if (kind == "png") 0 else vectors.largestLevel, "$kind: $all")
            assertTrue(all.share >= vectors.smallestShare, "$kind: $all")
        }
    }

    private companion object {
        val MODEL: Uri = Uri.parse("content://somewhere/model.tflite")
        val PHOTOGRAPH: Uri = Uri.parse("content://somewhere/photograph")
    }

    /** The screen as a picture, for whoever wants to see it. */
    private fun picture(name: String) {
        val folder = System.getProperty("edge_nima.screenshots") ?: return
        val view = activity.window.decorView
        val bitmap = Bitmap.createBitmap(view.width, view.height, Bitmap.Config.ARGB_8888)
        view.draw(Canvas(bitmap))
        File(folder, "$name.png").outputStream().use { bitmap.compress(Bitmap.CompressFormat.PNG, 100, it) }
    }
}
