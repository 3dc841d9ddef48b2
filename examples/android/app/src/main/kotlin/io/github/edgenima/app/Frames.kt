package io.github.edgenima.app

import android.view.View

/** Which camera. */
enum class Facing {
    BACK,
    FRONT,
}

/** Where frames come from; while one is looked at, newer ones replace each other. For the main thread. */
interface Frames {
    /** Shows what the camera sees. */
    val preview: View

    /**
     * Open a camera; the one that is open is closed.
     *
     * @param model is given each frame, on its executor, valid until it returns; and why the camera cannot be opened.
     */
    fun start(facing: Facing, model: ScoringViewModel)

    /** Close it. */
    fun stop()
}
