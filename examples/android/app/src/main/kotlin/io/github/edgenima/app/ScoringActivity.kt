package io.github.edgenima.app

import android.Manifest
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
import androidx.activity.ComponentActivity
import androidx.activity.result.ActivityResultLauncher
import androidx.activity.result.PickVisualMediaRequest
import androidx.activity.result.contract.ActivityResultContracts.OpenDocument
import androidx.activity.result.contract.ActivityResultContracts.PickVisualMedia
import androidx.activity.result.contract.ActivityResultContracts.RequestPermission
import androidx.core.content.FileProvider
import androidx.lifecycle.ViewModelProvider
import kotlinx.coroutines.Job
import kotlinx.coroutines.MainScope
import kotlinx.coroutines.launch

/** The one screen: a picture, its score, and the proof that the score is to be believed. */
abstract class ScoringActivity : ComponentActivity() {
    /** The camera. */
    protected abstract fun openFrames(): Frames

    private val model by lazy { ViewModelProvider(this)[ScoringViewModel::class.java] }
    private lateinit var screen: Screen
    private lateinit var frames: Frames
    private var open: Facing? = null
    private var showing: Job? = null
    private var dialog: AlertDialog? = null

    private val askForCamera = registerForActivityResult(RequestPermission()) { granted ->
        val again = shouldShowRequestPermissionRationale(Manifest.permission.CAMERA)
        val refused = if (again) Permission.NOT_YET else Permission.REFUSED_FOR_GOOD
        model.allow(if (granted) Permission.GRANTED else refused)
    }
    private val openModel = registerForActivityResult(OpenDocument()) { uri -> uri?.let(model::use) }
    private val openPhotograph = registerForActivityResult(PickVisualMedia()) { uri -> uri?.let(model::score) }

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.scoring)
        frames = openFrames()
        screen = Screen(window.decorView)
        window.decorView.need<ViewGroup>(R.id.preview).addView(frames.preview)
        click(R.id.camera) { if (model.state.value.photograph == null) model.switchCamera() else model.toCamera() }
        click(R.id.open_photograph) {
            start(openPhotograph, PickVisualMediaRequest.Builder().setMediaType(PickVisualMedia.ImageOnly).build())
        }
        click(R.id.open_model) { start(openModel, arrayOf("*/*")) }
        click(R.id.share_best) { model.state.value.best?.let(::share) }
        click(R.id.message_action) { act(model.state.value.message?.action) }
        click(R.id.proof) { showProof() }
    }

    override fun onStart() {
        super.onStart()
        val granted = checkSelfPermission(Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED
        model.allow(if (granted) Permission.GRANTED else Permission.NOT_YET)
        showing = MainScope().launch { model.state.collect(::show) }
    }

    override fun onStop() {
        showing?.cancel()
        openCamera(null)
        // Turned, the phone goes on with the same window of time.
        if (!isChangingConfigurations) model.pause()
        super.onStop()
    }

    override fun onDestroy() {
        dialog?.dismiss()
        super.onDestroy()
    }

    private fun show(state: ScreenState) {
        screen.show(state)
        openCamera(state.camera)
    }

    private fun openCamera(facing: Facing?) {
        if (facing == open) return
        open = facing
        if (facing == null) frames.stop() else frames.start(facing, model)
    }

    private fun click(id: Int, action: () -> Unit) = window.decorView.need<View>(id).setOnClickListener { action() }

    private fun act(action: Int?) = when (action) {
        R.string.allow -> askForCamera.launch(Manifest.permission.CAMERA)
        R.string.settings -> {
            val page = Uri.fromParts("package", packageName, null)
            startActivity(Intent(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, page))
        }
        R.string.bundled_model -> model.use(null)
        R.string.keep_model -> model.keepModel()
        else -> model.toCamera()
    }

    private fun share(picture: Kept) {
        val uri = FileProvider.getUriForFile(this, "$packageName.pictures", picture.file)
        val send = Intent(Intent.ACTION_SEND).setType("image/jpeg").putExtra(Intent.EXTRA_TEXT, picture.text)
            .putExtra(Intent.EXTRA_STREAM, uri).addFlags(Intent.FLAG_GRANT_READ_URI_PERMISSION)
        // The preview in Android's list of apps reads it too; the flag goes along with clip data.
        send.clipData = ClipData.newRawUri(null, uri)
        startActivity(Intent.createChooser(send, getString(R.string.share_title)))
    }

    private fun <I> start(launcher: ActivityResultLauncher<I>, input: I) {
        try {
            launcher.launch(input)
        } catch (_: ActivityNotFoundException) {
            Toast.makeText(this, R.string.no_app, Toast.LENGTH_LONG).show()
        }
    }

    private fun showProof() {
        val text = screen.proof(model.state.value.model)
        if (text.isEmpty()) return
        dialog = AlertDialog.Builder(this).setTitle(R.string.proof_title).setMessage(text)
            .setNeutralButton(R.string.bundled_model) { _, _ -> model.use(null) }
            .setPositiveButton(R.string.close, null).show()
    }
}
