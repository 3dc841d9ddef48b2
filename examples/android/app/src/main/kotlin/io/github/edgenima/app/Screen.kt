package io.github.edgenima.app

import android.graphics.Bitmap
import android.os.SystemClock
import android.view.View
import android.widget.ImageView
import android.widget.TextView
import io.github.edgenima.core.ProbeResult
import kotlin.math.abs

/** The views of the layout, and what each state puts into them. */
class Screen(private val root: View) {
    private val resources = root.resources
    private var heardAt = -HEARD_EVERY
    private var heard = Double.NaN
    private var seen: Bitmap? = null

    fun show(state: ScreenState) {
        val message = state.message
        show(R.id.message, message != null)
        if (message != null) say(message)
        if (seen !== state.photograph?.seen) showPhotograph(state.photograph?.seen)
        // Its place is kept for what comes by itself; a message that asks something has it.
        val none = if (message?.action == null) View.INVISIBLE else View.GONE
        root.need<View>(R.id.score).visibility = if (state.reading == null || message != null) none else View.VISIBLE
        if (message == null) state.reading?.let(::score)
        write(R.id.proof, verdict(state.model))
        write(R.id.note, state.note)
        write(R.id.camera, string(if (state.photograph == null) R.string.switch_camera else R.string.to_camera))
        root.need<View>(R.id.open_photograph).isEnabled = state.model is ModelState.Proven
        root.need<View>(R.id.share_best).isEnabled = state.best != null
    }

    /** Everything that is known of the model's proof, for reading at leisure; empty when there is none. */
    fun proof(model: ModelState): String = when (model) {
        ModelState.Loading -> emptyList()
        is ModelState.Refused -> model.probes.map(::row)
        is ModelState.Proven -> model.probes.map(::row) + listOfNotNull(
            string(R.string.proof_pixels, model.how),
            model.gate?.let { string(R.string.proof_gate, it) },
        )
    }.joinToString("\n\n")

    private fun showPhotograph(bitmap: Bitmap?) {
        seen = bitmap
        show(R.id.photograph, bitmap != null)
        root.need<ImageView>(R.id.photograph).setImageBitmap(bitmap)
    }

    private fun say(message: Message) {
        write(R.id.message_title, string(message.title))
        write(R.id.message_text, message.why ?: message.whyText?.let { string(it) })
        write(R.id.message_action, message.action?.let { string(it) })
    }

    private fun score(reading: Reading) {
        val score = reading.score
        write(R.id.mean, string(R.string.score_mean, score.mean))
        write(R.id.spread, string(R.string.score_spread, score.std))
        write(R.id.speed, reading.framesPerSecond?.let { string(R.string.score_speed, it, score.inferenceMs) })
        root.need<HistogramView>(R.id.histogram).show(score)
        // A screen reader hears a photograph's score at once, a frame's seldom, and only what is new.
        val at = SystemClock.elapsedRealtime()
        val soon = reading.framesPerSecond != null && at - heardAt < HEARD_EVERY
        if (soon || abs(score.mean - heard) < HEARD_CHANGE) return
        heardAt = at
        heard = score.mean
        root.need<View>(R.id.score).contentDescription = string(R.string.score_spoken, score.mean, score.std)
    }

    private fun row(probe: ProbeResult) = probe.problem?.let { string(R.string.proof_row_failed, probe.name, it) }
        ?: string(R.string.proof_row, probe.name, probe.mean, probe.ownMean)

    private fun verdict(model: ModelState): String = when (model) {
        is ModelState.Proven ->
            resources.getQuantityString(R.plurals.proof_passed, model.probes.size, model.probes.size, model.label)
        is ModelState.Refused if model.probes.isNotEmpty() ->
            string(R.string.proof_failed, model.probes.count { it.problem == null }, model.probes.size)
        else -> string(R.string.proof_unknown)
    }

    private fun write(id: Int, text: String?) {
        show(id, text != null)
        val view = root.need<TextView>(id)
        // The same text again would lay the screen out anew, with every frame.
        if (view.text.toString() != text.orEmpty()) view.text = text
    }

    private fun show(id: Int, shown: Boolean) {
        root.need<View>(id).visibility = if (shown) View.VISIBLE else View.GONE
    }

    private fun string(id: Int, vararg values: Any?): String = resources.getString(id, *values)

    private companion object {
        const val HEARD_CHANGE = 0.1
        const val HEARD_EVERY = 5_000L
    }
}

/** A view of the layout; that it is there is the layout's promise. */
fun <T : View> View.need(id: Int): T = checkNotNull(findViewById<T>(id))
