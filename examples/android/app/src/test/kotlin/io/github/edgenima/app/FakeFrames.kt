package io.github.edgenima.app

import android.content.Context
import android.view.View
import io.github.edgenima.core.CameraBuffer

/** A camera that gives what a test hands it. */
class FakeFrames(context: Context) : Frames {
    override val preview = View(context)
    val started = mutableListOf<Facing>()
    var running = false
        private set
    lateinit var model: ScoringViewModel
        private set

    override fun start(facing: Facing, model: ScoringViewModel) {
        started += facing
        running = true
        this.model = model
    }

    override fun stop() {
        running = false
    }

    fun give(buffer: CameraBuffer): Unit = model.executor.execute { model.frame(buffer) }
}
