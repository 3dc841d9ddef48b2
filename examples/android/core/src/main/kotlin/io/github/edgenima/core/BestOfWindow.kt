package io.github.edgenima.core

/**
 * The best item of each window of time; of equals the earlier.
 *
 * @param seconds length of a window. The first item after a window begins the next.
 * @param release is given each item that is dropped.
 */
public class BestOfWindow<T : Any>(private val seconds: Double, private val release: (T) -> Unit) {
    private class Held<T>(val item: T, val mean: Double)

    private var held: Held<T>? = null
    private var began = 0.0

    init {
        require(seconds > 0) { "a window is $seconds seconds long; possible: more than 0" }
    }

    /** Whether the window is over at a monotonic time in seconds; also when the clock went back. */
    public fun due(at: Double): Boolean = held != null && !(at - began in 0.0..<seconds)

    /** Whether an item of this mean would be kept; only then are its pixels worth a copy. Call [due] before. */
    public fun wouldKeep(mean: Double): Boolean = !mean.isNaN() && held.let { it == null || mean > it.mean }

    /**
     * Keep an item when it is the best so far, else release it.
     *
     * @param at monotonic time, seconds. Call [due] with it before.
     */
    public fun offer(item: T, mean: Double, at: Double) {
        if (!wouldKeep(mean)) return release(item)
        val before = held
        if (before == null) began = at else release(before.item)
        held = Held(item, mean)
    }

    /** End the window: its best, which is the caller's from now on; null when nothing was kept. */
    public fun flush(): T? = held?.item.also { held = null }
}
