package io.github.edgenima.app

/** Frames a second over about the last second; without allocating. */
class FrameRate {
    private val times = LongArray(KEPT)
    private var count = 0

    /**
     * Count a frame.
     *
     * @param nanos monotonic time, nanoseconds.
     * @return frames a second; 0 at the first.
     */
    fun tick(nanos: Long): Double {
        times[count++ % KEPT] = nanos
        var back = minOf(count, KEPT) - 1
        // The frames of the last second, or the last two when they are slower than that.
        while (back > 1 && nanos - time(back) > SECOND) back--
        val passed = nanos - time(back)
        return if (passed > 0) back * SECOND.toDouble() / passed else 0.0
    }

    /** Begin anew: what comes next is no successor of what came before. */
    fun reset() {
        count = 0
    }

    private fun time(back: Int) = times[(count - 1 - back) % KEPT]

    private companion object {
        const val KEPT = 64
        const val SECOND = 1_000_000_000L
    }
}
