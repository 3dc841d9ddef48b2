package io.github.edgenima.app

import android.content.Context
import android.view.View
import io.github.edgenima.core.CameraBuffer
import java.util.concurrent.Executor

/** A camera that gives what a test hands it. */
class FakeFrames(context: Context) : Frames {
    override val preview = View(context)
    val started = mutableListOf<Facing>()
    var running = false
        private set
    private lateinit var executor: Executor
    lateinit var sink: FrameSink
        private set

    override fun start(facing: Facing, executor: Executor, sink: FrameSink) {
        started += facing
        running = true
        this.executor = executor
        this.sink = sink
    }

    override fun stop() {
        running = false
    }

    fun give(buffer: CameraBuffer): Unit = executor.execute { sink.frame(buffer) }
}
