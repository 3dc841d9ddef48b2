package io.github.edgenima.app

import kotlin.math.abs

/** Decides when a screen reader hears a score: seldom, and only what is new. */
class Announcer {
    private var heardAt = 0L
    private var heard = Double.NaN

    /**
     * @param mean 1..10.
     * @param nanos monotonic time, nanoseconds.
     */
    fun isDue(mean: Double, nanos: Long): Boolean {
        val fresh = heard.isNaN() || (nanos - heardAt >= EVERY && abs(mean - heard) >= CHANGE)
        if (fresh) {
            heardAt = nanos
            heard = mean
        }
        return fresh
    }

    private companion object {
        const val EVERY = 5_000_000_000L
        const val CHANGE = 0.1
    }
}
