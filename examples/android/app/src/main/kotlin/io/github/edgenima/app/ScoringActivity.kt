package io.github.edgenima.app

import android.Manifest
import android.app.Activity
import android.app.AlertDialog
import android.content.ActivityNotFoundException
import android.content.ClipData
import android.content.Intent
import android.content.pm.PackageManager
import android.net.Uri
import android.os.Bundle
import android.provider.Settings
import android.view.View
import android.view.ViewGroup
import android.widget.Toast
import io.github.edgenima.core.CameraBuffer
import io.github.edgenima.core.OpenRuntime
import java.io.File
import java.io.IOException

/** The one screen: the camera's picture, its score, and the proof that the score is to be believed. */
abstract class ScoringActivity : Activity(), ScoringListener, FrameSink {
    /** The camera. */
    protected abstract fun openFrames(): Frames

    /** What runs the model. */
    protected open fun openRuntime(): OpenRuntime = OpenRuntime(::LiteRtInterpreter)

    private lateinit var root: View
    private lateinit var frames: Frames
    private lateinit var loop: ScoringLoop
    private lateinit var screen: Screen
    private lateinit var pictures: BestPictures
    private val models by lazy { ModelFiles(this) }
    private val announcer = Announcer()
    private var model: ModelState = ModelState.Loading
    private var permission = Permission.NOT_YET
    private var cameraProblem: String? = null
    private var facing = Facing.BACK
    private var running = false

    /** The model that somebody opened; null for the bundled one. */
    private var chosen: Uri? = null
    private var best: Pair<File, String>? = null

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.scoring)
        facing = Facing.entries[savedInstanceState?.getInt(FACING) ?: 0]
        chosen = savedInstanceState?.getString(MODEL)?.let(Uri::parse)
        pictures = BestPictures(BestPictures.folder(this))
        frames = openFrames()
        root = window.decorView.need(R.id.root)
        root.need<ViewGroup>(R.id.preview).addView(frames.preview)
        screen = Screen(root)
        loop = ScoringLoop(BitmapDecoder, openRuntime(), this)
        click(R.id.switch_camera) {
            facing = facing.other
            restart()
        }
        click(R.id.open_model) { openModel() }
        click(R.id.share_best) { shareBest() }
        click(R.id.message_action) { act() }
        click(R.id.proof) { showProof() }
        use(chosen)
    }

    override fun onStart() {
        super.onStart()
        val granted = checkSelfPermission(Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED
        if (granted) permission = Permission.GRANTED
        if (!granted && permission == Permission.GRANTED) permission = Permission.NOT_YET
        running = true
        restart()
    }

    override fun onStop() {
        running = false
        frames.stop()
        loop.pause()
        super.onStop()
    }

    override fun onDestroy() {
        loop.close()
        super.onDestroy()
    }

    override fun onSaveInstanceState(outState: Bundle) {
        super.onSaveInstanceState(outState)
        outState.putInt(FACING, facing.ordinal)
        outState.putString(MODEL, chosen?.toString())
    }

    private fun restart() {
        cameraProblem = null
        if (running && permission == Permission.GRANTED) frames.start(facing, loop.executor, this)
        show()
    }

    // What the camera and the loop say, on their threads.

    override fun frame(buffer: CameraBuffer): Unit = loop.frame(buffer)

    override fun problem(text: String): Unit = runOnUiThread {
        cameraProblem = text
        show()
    }

    override fun model(state: ModelState): Unit = runOnUiThread {
        model = state
        show()
    }

    override fun reading(reading: Reading): Unit = runOnUiThread {
        if (stage() != Stage.Live || !running) return@runOnUiThread
        screen.score.show(reading)
        if (announcer.isDue(reading.score.mean, System.nanoTime())) screen.score.announce(reading)
    }

    override fun best(frame: BestFrame) {
        try {
            val file = pictures.keep(frame, System.currentTimeMillis())
            runOnUiThread { showBest(file, frame) }
        } catch (error: IOException) {
            val text = getString(R.string.best_not_kept, error.message)
            runOnUiThread { Toast.makeText(this, text, Toast.LENGTH_LONG).show() }
        }
    }

    private fun showBest(file: File, frame: BestFrame) {
        best = file to getString(R.string.share_text, frame.mean, frame.std, frame.label)
        screen.showBest(frame.mean)
    }

    private fun stage() = Stage.of(model, permission, cameraProblem)

    private fun show(): Unit = screen.show(stage(), model)

    private fun click(id: Int, action: () -> Unit) = root.need<View>(id).setOnClickListener { action() }

    // What somebody taps.

    private fun act() {
        when (val stage = stage()) {
            is Stage.NoPermission -> if (stage.forGood) openSettings() else askForCamera()
            is Stage.ModelRefused -> use(null)
            is Stage.NoCamera -> restart()
            Stage.Loading, Stage.Live -> Unit
        }
    }

    private fun askForCamera() = requestPermissions(arrayOf(Manifest.permission.CAMERA), ASK_CAMERA)

    override fun onRequestPermissionsResult(requestCode: Int, permissions: Array<String>, grantResults: IntArray) {
        permission = when {
            grantResults.firstOrNull() == PackageManager.PERMISSION_GRANTED -> Permission.GRANTED
            // An answer was given and Android would not ask again; without one the dialog was only put aside.
            grantResults.isNotEmpty() && !shouldShowRequestPermissionRationale(Manifest.permission.CAMERA) ->
                Permission.REFUSED_FOR_GOOD
            else -> Permission.NOT_YET
        }
        restart()
    }

    private fun openSettings() =
        launch(Intent(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, Uri.fromParts("package", packageName, null)))

    private fun openModel() = launch(
        Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE).setType("*/*"),
        OPEN_MODEL,
    )

    override fun onActivityResult(requestCode: Int, resultCode: Int, data: Intent?) {
        val uri = data?.data
        if (requestCode == OPEN_MODEL && resultCode == RESULT_OK && uri != null) use(uri)
    }

    private fun use(model: Uri?) {
        chosen = model
        loop.use { if (model == null) models.bundled() else models.chosen(model) }
    }

    private fun shareBest() {
        val (file, text) = best ?: return
        val uri = SharedPictures.uri(this, file)
        val send = Intent(Intent.ACTION_SEND).setType("image/jpeg").putExtra(Intent.EXTRA_TEXT, text)
            .putExtra(Intent.EXTRA_STREAM, uri).addFlags(Intent.FLAG_GRANT_READ_URI_PERMISSION)
        // The preview in Android's list of apps reads it too; the flag goes along with clip data.
        send.clipData = ClipData.newRawUri(null, uri)
        launch(Intent.createChooser(send, getString(R.string.share_title)))
    }

    private fun launch(intent: Intent, code: Int = -1) {
        try {
            startActivityForResult(intent, code)
        } catch (_: ActivityNotFoundException) {
            Toast.makeText(this, R.string.no_app, Toast.LENGTH_LONG).show()
        }
    }

    private fun showProof() {
        val told = screen.proof(model)
        if (told.isEmpty()) return
        AlertDialog.Builder(this).setTitle(R.string.proof_title).setMessage(told)
            .setPositiveButton(R.string.close, null).show()
    }

    private companion object {
        const val ASK_CAMERA = 1
        const val OPEN_MODEL = 2
        const val FACING = "facing"
        const val MODEL = "model"
    }
}
