package io.github.edgenima.app

import android.Manifest
import android.app.Activity
import android.app.Application
import android.content.Intent
import android.content.pm.PackageManager
import android.graphics.Bitmap
import android.graphics.Canvas
import android.net.Uri
import android.os.Looper
import android.provider.OpenableColumns
import android.view.View
import android.widget.Button
import android.widget.TextView
import com.google.gson.JsonParser
import io.github.edgenima.core.Agreement
import io.github.edgenima.core.JvmTflite
import io.github.edgenima.core.Layout
import io.github.edgenima.core.OpenRuntime
import io.github.edgenima.core.Vectors
import io.github.edgenima.core.frame
import io.github.edgenima.core.readPicture
import java.io.ByteArrayInputStream
import java.io.File
import java.io.FileNotFoundException
import java.time.Duration
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertNotNull
import kotlin.test.assertNull
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

/** The screen with a camera of the test's and TensorFlow Lite for the JVM. */
class TestActivity : ScoringActivity() {
    lateinit var camera: FakeFrames

    override fun openFrames(): Frames = FakeFrames(this).also { camera = it }

    override fun openRuntime(): OpenRuntime = OpenRuntime(::JvmTflite)
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

    /** The screen with the vectors' model, which need not be the one in the app. */
    private fun startWithVectors() {
        val model = vectors.model
        start()
        choose(model)
        waitFor("the proof") { text(R.id.proof).startsWith(vectors.label) }
    }

    /** As somebody who opens a model. */
    private fun choose(model: ByteArray) {
        shadowOf(app.contentResolver).registerInputStream(MODEL, ByteArrayInputStream(model))
        activity.need<Button>(R.id.open_model).performClick()
        val asked = shadowOf(activity).nextStartedActivityForResult
        assertEquals(Intent.ACTION_OPEN_DOCUMENT, asked.intent.action)
        shadowOf(activity).receiveResult(asked.intent, Activity.RESULT_OK, Intent().setData(MODEL))
    }

    private fun <T : View> TestActivity.need(id: Int): T = window.decorView.need(id)

    private fun text(id: Int): String = activity.need<TextView>(id).text.toString()

    private fun shown(id: Int): Boolean = activity.need<View>(id).visibility == View.VISIBLE

    private fun waitFor(what: String, isSo: () -> Boolean) {
        val until = System.nanoTime() + Duration.ofSeconds(20).toNanos()
        while (!isSo()) {
            shadowOf(Looper.getMainLooper()).idle()
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
        assertEquals(wanted, activity.need<View>(R.id.score).contentDescription.toString())
        picture("live")
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
        start()
        waitFor("the proof") { "Proven here" in text(R.id.proof) }
        activity.need<View>(R.id.proof).performClick()
        val dialog = assertNotNull(ShadowDialog.getLatestDialog())
        val said = dialog.findViewById<TextView>(android.R.id.message)!!.text
        assertContains(said, "flower, greyscale 241x160")
        assertContains(said, "Pixels: ")
        assertContains(said, "224x224, stretch, Pillow NEAREST (no antialias)")
    }

    @Test
    fun `a model that is refused shows why, and no score, until there is another`() {
        start()
        waitFor("the proof") { "Proven here" in text(R.id.proof) }
        choose("no model at all".toByteArray())
        waitFor("the refusal") { shown(R.id.message) && "not a .tflite" in text(R.id.message_text) }
        assertEquals("The model is not used", text(R.id.message_title))
        assertEquals("Not yet proven here", text(R.id.proof))
        picture("refused")
        activity.camera.give(frame(Layout.YUV_420_888, 640, 480, 90, mirror = false))
        assertEquals("Use the bundled model", text(R.id.message_action))
        activity.need<View>(R.id.message_action).performClick()
        waitFor("the proof") { "Proven here" in text(R.id.proof) }
        assertFalse(shown(R.id.message) || shown(R.id.score))
    }

    @Test
    fun `without permission the camera stays closed, and the screen asks`() {
        start(allowed = false)
        waitFor("the question") { text(R.id.message_title) == "The camera may not be used" }
        assertTrue(activity.camera.started.isEmpty())
        assertEquals("Allow the camera", text(R.id.message_action))
        activity.need<Button>(R.id.message_action).performClick()
        val asked = shadowOf(activity).lastRequestedPermission.requestedPermissions
        assertEquals(listOf(Manifest.permission.CAMERA), asked.toList())

        val refused = intArrayOf(PackageManager.PERMISSION_DENIED)
        activity.onRequestPermissionsResult(1, arrayOf(Manifest.permission.CAMERA), refused)
        assertEquals("Open settings", text(R.id.message_action))
        activity.need<Button>(R.id.message_action).performClick()
        assertEquals("package:${app.packageName}", shadowOf(activity).nextStartedActivity.data.toString())

        shadowOf(app).grantPermissions(Manifest.permission.CAMERA)
        controller.stop().start()
        assertEquals(listOf(Facing.BACK), activity.camera.started)
    }

    @Test
    fun `the other camera is opened, and kept when the phone is turned`() {
        start()
        activity.need<Button>(R.id.switch_camera).performClick()
        assertEquals(listOf(Facing.BACK, Facing.FRONT), activity.camera.started)
        controller.recreate()
        assertEquals(listOf(Facing.FRONT), activity.camera.started)
        controller.stop()
        assertFalse(activity.camera.running)
    }

    @Test
    fun `the model that was opened stays when the phone is turned`() {
        start()
        choose("no model at all".toByteArray())
        waitFor("the refusal") { "not a .tflite" in text(R.id.message_text) }
        shadowOf(app.contentResolver).registerInputStream(MODEL, ByteArrayInputStream("nor this".toByteArray()))
        controller.recreate()
        waitFor("the refusal") { "not a .tflite" in text(R.id.message_text) }
        activity.need<View>(R.id.message_action).performClick()
        waitFor("the proof") { "Proven here" in text(R.id.proof) }
        controller.recreate()
        waitFor("the proof") { "Proven here" in text(R.id.proof) }
    }

    @Test
    fun `a camera that cannot be opened is told, and tried again`() {
        start()
        waitFor("the proof") { "Proven here" in text(R.id.proof) }
        activity.camera.sink.problem("it is in use by another app")
        waitFor("the problem") { text(R.id.message_text) == "it is in use by another app" }
        activity.need<Button>(R.id.message_action).performClick()
        assertEquals(2, activity.camera.started.size)
        assertFalse(shown(R.id.message))
    }

    @Test
    fun `the best frame becomes a file that can be shared, and a line that the command line reads`() {
        startWithVectors()
        val names = listOf("rgba-camera-90", "nv12-camera-90")
        val told = names.map(::buffer)
        assertFalse(activity.need<View>(R.id.share_best).isEnabled)
        for (one in told) activity.camera.give(vectors.buffer(one))
        controller.pause().stop()
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

        controller.start().resume()
        activity.need<Button>(R.id.share_best).performClick()
        val send = shadowOf(activity).nextStartedActivity.getParcelableExtra(Intent.EXTRA_INTENT, Intent::class.java)!!
        val uri = send.getParcelableExtra(Intent.EXTRA_STREAM, Uri::class.java)!!
        assertEquals(Intent.FLAG_GRANT_READ_URI_PERMISSION, send.flags and Intent.FLAG_GRANT_READ_URI_PERMISSION)
        assertContains(send.getStringExtra(Intent.EXTRA_TEXT)!!, vectors.label)
        val provider = Robolectric.setupContentProvider(SharedPictures::class.java)
        assertEquals(file.length(), provider.openFile(uri, "r").use { it.statSize })
        provider.query(uri, null, null, null, null).use { cursor ->
            assertTrue(cursor.moveToFirst())
            assertEquals(file.name, cursor.getString(cursor.getColumnIndexOrThrow(OpenableColumns.DISPLAY_NAME)))
        }
        for (other in listOf("scores.jsonl", "..%2Fscores.jsonl", "best-1.jpg")) {
            val elsewhere = Uri.parse("content://${uri.authority}/$other")
            assertFailsWith<FileNotFoundException>(other) { provider.openFile(elsewhere, "r") }
        }
        assertFailsWith<FileNotFoundException> { provider.openFile(uri, "w") }
        assertNull(provider.insert(uri, null))
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
