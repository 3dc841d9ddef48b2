package io.github.edgenima.app

/** What the screen is about. */
sealed interface Stage {
    /** The model is being read and proven. */
    data object Loading : Stage

    /** The model is not used. */
    class ModelRefused(val why: String) : Stage

    /** The camera may not be used, yet or ever. */
    class NoPermission(val forGood: Boolean) : Stage

    /** The camera cannot be opened. */
    class NoCamera(val why: String) : Stage

    /** Scores are shown. */
    data object Live : Stage

    companion object {
        /** A model that is refused comes first: without it the camera is of no use. */
        fun of(model: ModelState, permission: Permission, cameraProblem: String?): Stage = when {
            model is ModelState.Refused -> ModelRefused(model.why)
            permission != Permission.GRANTED -> NoPermission(permission == Permission.REFUSED_FOR_GOOD)
            cameraProblem != null -> NoCamera(cameraProblem)
            model is ModelState.Loading -> Loading
            else -> Live
        }
    }
}

/** Whether the camera may be used. */
enum class Permission { GRANTED, NOT_YET, REFUSED_FOR_GOOD }
