package io.github.edgenima.app

import android.app.Application
import android.content.Context
import android.content.Intent
import android.net.Uri
import androidx.lifecycle.AndroidViewModel
import io.github.edgenima.core.BestOfWindow
import io.github.edgenima.core.CameraBuffer
import io.github.edgenima.core.ModelRejected
import io.github.edgenima.core.NotProven
import io.github.edgenima.core.OpenRuntime
import io.github.edgenima.core.PictureRejected
import io.github.edgenima.core.ProbeResult
import io.github.edgenima.core.Scorer
import io.github.edgenima.core.readPicture
import io.github.edgenima.core.reason
import java.io.ByteArrayOutputStream
import java.io.IOException
import java.io.InputStream
import java.util.concurrent.Executor
import java.util.concurrent.Executors
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.update

/**
 * Model, frames and photographs meet here, on one thread of their own. Nothing is scored before the model proved
 * itself, and it proves itself once however often the phone is turned.
 */
class ScoringViewModel(private val app: Application) : AndroidViewModel(app) {
    private val settings = app.getSharedPreferences("settings", Context.MODE_PRIVATE)
    private val mutable = MutableStateFlow(ScreenState(facing = Facing.entries[settings.getInt(FACING, 0)]))
    val state: StateFlow<ScreenState> get() = mutable
    private val thread = Executors.newSingleThreadExecutor { Thread(it, "scoring") }
    val executor: Executor get() = thread
    private val pictures = BestPictures(BestPictures.folder(app))
    private var lastFrame: Long? = null
    private var between = 0.0
    private var scorer: Scorer? = null
    private var spare: ByteArray? = null
    private val best = BestOfWindow<BestFrame>(WINDOW_SECONDS) { spare = it.picture.rgb }

    init {
        use(settings.getString(MODEL, null)?.let(Uri::parse))
    }

    /**
     * Prove a model and score with it from then on, also when the app is started again. If it fails, the one before
     * stays.
     *
     * @param model chosen by somebody; null for the bundled one.
     */
    fun use(model: Uri?) {
        mutable.update { it.copy(model = ModelState.Loading, photograph = null, reading = null) }
        thread.execute {
            val outcome = try {
                val opened = Scorer.open(read(model), BitmapDecoder, OpenRuntime { LiteRtModel(it, app.cacheDir) })
                keepBest()
                scorer?.close()
                scorer = opened
                remember(model)
                proven(opened)
            } catch (error: ModelRejected) {
                refused(reason(error), (error as? NotProven)?.results.orEmpty())
            } catch (error: IOException) {
                refused(app.getString(R.string.model_unreadable, reason(error)))
            }
            mutable.update { it.copy(model = outcome, reading = null) }
        }
    }

    /** Go on with the model in use before one that was refused. */
    fun keepModel(): Unit = thread.execute {
        scorer?.let { kept -> mutable.update { it.copy(model = proven(kept)) } }
    }

    fun allow(permission: Permission): Unit = mutable.update { it.copy(permission = permission, cameraProblem = null) }

    fun switchCamera() {
        mutable.update { it.copy(facing = Facing.entries[1 - it.facing.ordinal], cameraProblem = null, reading = null) }
        settings.edit().putInt(FACING, state.value.facing.ordinal).apply()
    }

    /** Back from a photograph to the camera, or try to open it again. */
    fun toCamera(): Unit = mutable.update { it.copy(photograph = null, cameraProblem = null, reading = null) }

    /** The camera cannot be opened or is lost; one line for a person. On any thread. */
    fun problem(text: String): Unit = mutable.update { it.copy(cameraProblem = text, reading = null) }

    /** Score a frame, while the camera is to be open and a model is proven. On [executor] only. */
    fun frame(buffer: CameraBuffer) {
        val scorer = scorer ?: return
        if (state.value.run { model !is ModelState.Proven || camera == null }) return
        val score = try {
            scorer.score(buffer)
        } catch (error: ModelRejected) {
            return giveUp(error)
        }
        val at = System.nanoTime()
        val reading = Reading(score, framesPerSecond(at))
        mutable.update { if (it.camera == null) it else it.copy(reading = reading) }
        val seconds = at / NANOS_PER_SECOND
        if (best.due(seconds)) keepBest()
        if (best.wouldKeep(score.mean)) {
            val picture = scorer.upright(buffer, spare)
            if (picture.rgb === spare) spare = null
            best.offer(BestFrame(picture, score, scorer), score.mean, seconds)
        }
    }

    /** Score a photograph; it is shown in the camera's place. */
    fun score(photograph: Uri) {
        pause()
        mutable.update { it.copy(photograph = Photograph(), reading = null) }
        thread.execute {
            val scorer = scorer ?: return@execute toCamera()
            try {
                val picture = readPicture(read(photograph), BitmapDecoder)
                val reading = Reading(scorer.score(picture), null)
                val seen = Photograph(picture.bitmap(LARGEST_SEEN))
                mutable.update { if (it.photograph == null) it else it.copy(photograph = seen, reading = reading) }
            } catch (error: PictureRejected) {
                refuse(reason(error))
            } catch (error: IOException) {
                refuse(reason(error))
            } catch (error: ModelRejected) {
                giveUp(error)
            }
        }
    }

    /** The camera stops: the window ends, and the rate begins anew. */
    fun pause(): Unit = thread.execute {
        keepBest()
        lastFrame = null
    }

    override fun onCleared() {
        pause()
        thread.execute { scorer?.close() }
        thread.shutdown()
    }

    /** Of late: each frame counts a tenth less than the next. 0 at the first. */
    private fun framesPerSecond(at: Long): Double {
        val passed = lastFrame?.let { (at - it).toDouble() } ?: 0.0
        between = if (between == 0.0 || passed == 0.0) passed else 0.9 * between + 0.1 * passed
        lastFrame = at
        return if (between > 0) NANOS_PER_SECOND / between else 0.0
    }

    private fun refuse(why: String) =
        mutable.update { if (it.photograph == null) it else it.copy(photograph = Photograph(refused = why)) }

    private fun giveUp(error: ModelRejected) {
        keepBest()
        scorer?.close()
        scorer = null
        mutable.update { it.copy(model = refused(reason(error)), photograph = null, reading = null) }
    }

    private fun proven(scorer: Scorer): ModelState {
        val card = scorer.card
        return ModelState.Proven(scorer.label, card.preprocessing.describe(), card.gate?.describe(), scorer.proof)
    }

    private fun refused(why: String, probes: List<ProbeResult> = emptyList()) =
        ModelState.Refused(why, probes, before = scorer != null)

    private fun keepBest() {
        val frame = best.flush() ?: return
        try {
            val file = pictures.keep(frame, System.currentTimeMillis())
            val text = app.getString(R.string.share_text, frame.score.mean, frame.score.std, frame.scorer.label)
            val note = app.getString(R.string.best_kept, frame.score.mean)
            mutable.update { it.copy(best = Kept(file, text), note = note) }
        } catch (error: IOException) {
            mutable.update { it.copy(note = app.getString(R.string.best_not_kept, reason(error))) }
        }
    }

    /** Keep the permission to read this model, and no other: Android keeps a limited number for an app. */
    private fun remember(model: Uri?) {
        val resolver = app.contentResolver
        val held = resolver.persistedUriPermissions.map { it.uri }
        try {
            if (model != null) resolver.takePersistableUriPermission(model, READ)
            settings.edit().putString(MODEL, model?.toString()).apply()
        } catch (_: SecurityException) {
            settings.edit().remove(MODEL).apply()
            mutable.update { it.copy(note = app.getString(R.string.model_not_kept)) }
        }
        for (other in held) if (other != model) resolver.releasePersistableUriPermission(other, READ)
    }

    /** The bytes of a file that somebody chose, or of the bundled model. */
    private fun read(uri: Uri?): ByteArray = try {
        (if (uri == null) app.assets.open("model.tflite") else app.contentResolver.openInputStream(uri)).use(::whole)
    } catch (error: SecurityException) {
        throw IOException(app.getString(R.string.not_allowed), error)
    }

    private fun whole(stream: InputStream?): ByteArray {
        if (stream == null) throw IOException(app.getString(R.string.nothing_there))
        val bytes = ByteArrayOutputStream()
        val part = ByteArray(DEFAULT_BUFFER_SIZE)
        while (bytes.size() <= LARGEST) {
            val count = stream.read(part)
            if (count < 0) return bytes.toByteArray()
            bytes.write(part, 0, count)
        }
        throw IOException(app.getString(R.string.too_large, LARGEST shr 20))
    }

    private companion object {
        /** Of each stretch of so much time the best frame is kept. */
        const val WINDOW_SECONDS = 30.0
        const val NANOS_PER_SECOND = 1e9

        /** Bytes of a model or a photograph. */
        const val LARGEST = 64 shl 20

        /** Longest edge of a photograph as it is shown, pixels. */
        const val LARGEST_SEEN = 1600
        const val READ = Intent.FLAG_GRANT_READ_URI_PERMISSION
        const val FACING = "facing"
        const val MODEL = "model"
    }
}
