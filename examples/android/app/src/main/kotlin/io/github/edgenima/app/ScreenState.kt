package io.github.edgenima.app

import android.graphics.Bitmap
import io.github.edgenima.core.ProbeResult
import io.github.edgenima.core.Score
import java.io.File

/** What is known of the model. */
sealed interface ModelState {
    /** It is being read and proven. */
    data object Loading : ModelState

    /** It is not used; [before] tells whether the one in use before is still there. */
    class Refused(val why: String, val probes: List<ProbeResult>, val before: Boolean) : ModelState

    /** It scores here as it does where it was made. */
    class Proven(val label: String, val how: String, val gate: String?, val probes: List<ProbeResult>) : ModelState
}

/** Whether the camera may be used. */
enum class Permission { GRANTED, NOT_YET, REFUSED_FOR_GOOD }

/** A score of a frame or of a photograph; [framesPerSecond] of late, null of a photograph. */
class Reading(val score: Score, val framesPerSecond: Double?)

/** A photograph in the camera's place. Neither [seen] nor [refused]: it is being read. */
class Photograph(val seen: Bitmap? = null, val refused: String? = null)

/** A picture that can be shared, with the words that go along. */
class Kept(val file: File, val text: String)

/** What stands in the picture's place while there is no score: all three are string resources but [why]. */
data class Message(val title: Int, val why: String? = null, val whyText: Int? = null, val action: Int? = null)

/** All that the screen shows. */
data class ScreenState(
    val model: ModelState = ModelState.Loading,
    val permission: Permission = Permission.NOT_YET,
    val facing: Facing = Facing.BACK,
    val cameraProblem: String? = null,
    val photograph: Photograph? = null,
    val reading: Reading? = null,
    val best: Kept? = null,
    val note: String? = null,
) {
    /** The camera to be open; null when none is. */
    val camera: Facing?
        get() = facing.takeIf { permission == Permission.GRANTED && cameraProblem == null && photograph == null }

    /** Null when scores are shown. A model that is refused comes first: without it nothing is scored. */
    val message: Message?
        get() = when {
            model is ModelState.Refused -> {
                val action = if (model.before) R.string.keep_model else R.string.bundled_model
                Message(R.string.model_refused, model.why, action = action)
            }
            photograph?.refused != null ->
                Message(R.string.photograph_refused, photograph.refused, action = R.string.to_camera)
            photograph == null && permission == Permission.NOT_YET ->
                Message(R.string.no_permission, whyText = R.string.no_permission_why, action = R.string.allow)
            photograph == null && permission == Permission.REFUSED_FOR_GOOD ->
                Message(R.string.no_permission, whyText = R.string.no_permission_settings, action = R.string.settings)
            photograph == null && cameraProblem != null ->
                Message(R.string.no_camera, cameraProblem, action = R.string.again)
            model is ModelState.Loading -> Message(R.string.loading)
            photograph != null && photograph.seen == null -> Message(R.string.reading_photograph)
            else -> null
        }
}
