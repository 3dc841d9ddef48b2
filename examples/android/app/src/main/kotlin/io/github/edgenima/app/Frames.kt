package io.github.edgenima.app

import android.view.View
import io.github.edgenima.core.CameraBuffer
import java.util.concurrent.Executor

/** Which camera. */
enum class Facing {
    BACK,
    FRONT,
    ;

    /** The one on the other side. */
    val other: Facing get() = if (this == BACK) FRONT else BACK
}

/** Takes what a camera gives. */
interface FrameSink {
    /** A frame; its planes are valid until this returns. Called on the executor given to [Frames.start]. */
    fun frame(buffer: CameraBuffer)

    /** The camera cannot be opened or is lost; one line for a person. Called on any thread. */
    fun problem(text: String)
}

/** Where frames come from; while one is looked at, newer ones replace each other. For the main thread. */
interface Frames {
    /** Shows what the camera sees. */
    val preview: View

    /** Open a camera; the one that is open is closed. */
    fun start(facing: Facing, executor: Executor, sink: FrameSink)

    /** Close it. */
    fun stop()
}
