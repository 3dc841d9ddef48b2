package io.github.edgenima.app

/** The screen with a phone's own camera. */
class CameraActivity : ScoringActivity() {
    override fun openFrames(): Frames = CameraXFrames(this)
}
