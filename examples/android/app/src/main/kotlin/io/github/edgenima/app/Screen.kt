package io.github.edgenima.app

import android.annotation.TargetApi
import android.os.Build
import android.view.View
import android.view.WindowInsets
import android.widget.Button
import android.widget.TextView
import io.github.edgenima.core.ProbeResult

/** The views of the layout, and what each state puts into them. */
class Screen(private val root: View) {
    val score: ScoreView = root.need(R.id.score)
    private val message: View = root.need(R.id.message)
    private val title: TextView = root.need(R.id.message_title)
    private val text: TextView = root.need(R.id.message_text)
    private val action: Button = root.need(R.id.message_action)
    private val proof: TextView = root.need(R.id.proof)
    private val best: TextView = root.need(R.id.best)
    private val share: View = root.need(R.id.share_best)
    private val resources = root.resources

    init {
        // From Android 15 on an app draws under the system's bars, asked or not.
        root.setOnApplyWindowInsetsListener { view, insets ->
            keepClear(view, insets)
            insets
        }
    }

    /** Put a stage on the screen. No score stays while there is something to be said. */
    fun show(stage: Stage, model: ModelState) {
        message.visibility = if (stage == Stage.Live) View.GONE else View.VISIBLE
        if (stage != Stage.Live) score.clear()
        when (stage) {
            Stage.Live -> Unit
            Stage.Loading -> say(R.string.loading, "", null)
            is Stage.ModelRefused -> say(R.string.model_refused, stage.why, R.string.bundled_model)
            is Stage.NoCamera -> say(R.string.no_camera, stage.why, R.string.again)
            is Stage.NoPermission -> if (stage.forGood) {
                say(R.string.no_permission, string(R.string.no_permission_settings), R.string.settings)
            } else {
                say(R.string.no_permission, string(R.string.no_permission_why), R.string.allow)
            }
        }
        proof.text = verdict(model)
    }

    /** Tell of the best frame. */
    fun showBest(mean: Double) {
        best.text = string(R.string.best_kept, mean)
        best.visibility = View.VISIBLE
        share.isEnabled = true
    }

    /** Everything that is known of the model's proof, for reading at leisure; empty when there is none. */
    fun proof(model: ModelState): String = when (model) {
        ModelState.Loading -> ""
        is ModelState.Refused -> model.probes.joinToString("\n\n", transform = ::row)
        is ModelState.Proven -> {
            val facts = listOfNotNull(
                string(R.string.proof_pixels, model.preprocessing),
                model.gate?.let { string(R.string.proof_gate, it) },
            )
            (model.probes.map(::row) + facts).joinToString("\n\n")
        }
    }

    private fun row(probe: ProbeResult) = probe.problem?.let { string(R.string.proof_row_failed, probe.name, it) }
        ?: string(R.string.proof_row, probe.name, probe.mean, probe.ownMean)

    private fun verdict(model: ModelState): String = when (model) {
        ModelState.Loading -> string(R.string.proof_unknown)
        is ModelState.Refused -> {
            val passed = model.probes.count { it.problem == null }
            if (model.probes.isEmpty()) string(R.string.proof_unknown)
            else string(R.string.proof_failed, passed, model.probes.size)
        }
        is ModelState.Proven ->
            resources.getQuantityString(R.plurals.proof_passed, model.probes.size, model.probes.size, model.label)
    }

    private fun say(titleId: Int, what: String, actionId: Int?) {
        title.setText(titleId)
        text.text = what
        text.visibility = if (what.isEmpty()) View.GONE else View.VISIBLE
        action.visibility = if (actionId == null) View.GONE else View.VISIBLE
        if (actionId != null) action.setText(actionId)
    }

    private fun string(id: Int, vararg values: Any?): String = resources.getString(id, *values)

    private fun keepClear(view: View, insets: WindowInsets) {
        val new = Build.VERSION.SDK_INT >= Build.VERSION_CODES.R
        if (new) keepBarsClear(view, insets) else keepOldBarsClear(view, insets)
    }

    @TargetApi(Build.VERSION_CODES.R)
    private fun keepBarsClear(view: View, insets: WindowInsets) {
        val bars = insets.getInsets(WindowInsets.Type.systemBars() or WindowInsets.Type.displayCutout())
        view.setPadding(bars.left, bars.top, bars.right, bars.bottom)
    }

    @Suppress("DEPRECATION")
    private fun keepOldBarsClear(view: View, insets: WindowInsets) = with(insets) {
        view.setPadding(systemWindowInsetLeft, systemWindowInsetTop, systemWindowInsetRight, systemWindowInsetBottom)
    }
}

/** A view of the layout; that it is there is the layout's promise. */
fun <T : View> View.need(id: Int): T = checkNotNull(findViewById<T>(id))
