package io.github.edgenima.core

import kotlin.math.PI
import kotlin.math.abs
import kotlin.math.ceil
import kotlin.math.cos
import kotlin.math.sin

/**
 * Pillow's resampling filters by the names a card uses.
 *
 * @property support how far the filter reaches from its centre, in pixels of the smaller picture; 0 for nearest, which
 *   takes one pixel and averages none.
 */
public enum class Filter(internal val support: Double, internal val weight: (Double) -> Double) {
    NEAREST(0.0, { 1.0 }),
    BOX(0.5, { x -> if (x > -0.5 && x <= 0.5) 1.0 else 0.0 }),
    BILINEAR(1.0, { x -> maxOf(0.0, 1.0 - abs(x)) }),
    HAMMING(1.0, ::hamming),
    BICUBIC(2.0, ::bicubic),
    LANCZOS(3.0, { x -> if (x >= -3.0 && x < 3.0) sinc(x) * sinc(x / 3) else 0.0 }),
}

private fun sinc(x: Double): Double = if (x == 0.0) 1.0 else sin(x * PI) / (x * PI)

private fun hamming(x: Double): Double {
    val distance = abs(x)
    if (distance == 0.0) return 1.0
    if (distance >= 1.0) return 0.0
    // Pillow's constants are single precision.
    return sinc(distance) * (0.54f + 0.46f * cos(distance * PI))
}

private fun bicubic(x: Double): Double {
    val a = -0.5
    val d = abs(x)
    return when {
        d < 1.0 -> ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0
        d < 2.0 -> (((d - 5.0) * d + 8.0) * d - 4.0) * a
        else -> 0.0
    }
}

/**
 * The part of one axis that is used, in pixels. Pillow keeps it in single precision; rounded here, all filters agree.
 */
internal class Span(val start: Float, val stop: Float) {
    /**
     * Index of the source pixel under each of `count` output centres, summed up step by step as Pillow does.
     */
    fun centres(count: Int): IntArray {
        val step = (stop - start).toDouble() / count
        val last = ceil(stop).toInt() - 1
        var at = start + step * 0.5
        return IntArray(count) { at.toInt().coerceIn(0, last).also { at += step } }
    }

    companion object {
        /** The part of a picture's two axes, across and down, that [how] uses. */
        fun of(width: Int, height: Int, how: Preprocessing): Pair<Span, Span> {
            var usedWidth = width.toDouble()
            var usedHeight = height.toDouble()
            if (how.fit == Fit.CROP) {
                // The side that limits is used whole, exactly.
                if (width.toLong() * how.height > height.toLong() * how.width) {
                    usedWidth = (height.toLong() * how.width).toDouble() / how.height
                } else {
                    usedHeight = (width.toLong() * how.height).toDouble() / how.width
                }
            }
            return centred(width, usedWidth) to centred(height, usedHeight)
        }

        private fun centred(size: Int, used: Double): Span {
            val start = (size - used) / 2
            return Span(start.toFloat(), (start + used).toFloat())
        }
    }
}

/**
 * For each output pixel of one axis: where its weights begin, how many there are, and the weights in steps of 1/2^22.
 */
internal class Coefficients(val first: IntArray, val count: IntArray, val size: Int, val weights: IntArray) {
    /** The weights of chosen output pixels only, in the order given. */
    fun at(outputs: IntArray): Coefficients {
        val chosen = IntArray(outputs.size * size)
        for ((i, output) in outputs.withIndex()) {
            weights.copyInto(chosen, i * size, output * size, (output + 1) * size)
        }
        val firsts = IntArray(outputs.size) { first[outputs[it]] }
        return Coefficients(firsts, IntArray(outputs.size) { count[outputs[it]] }, size, chosen)
    }

    /** The source pixels that are looked at, in order. */
    fun used(): IntArray {
        val used = BooleanArray(first.indices.maxOf { first[it] + count[it] })
        for (i in first.indices) used.fill(true, first[i], first[i] + count[i])
        return used.indices.filter { used[it] }.toIntArray()
    }

    /** The same weights where of the source there is no more than the pixels `kept`, all those of [used]. */
    fun over(kept: IntArray): Coefficients =
        Coefficients(first.map { kept.binarySearch(it) }.toIntArray(), count, size, weights)

    companion object {
        const val PRECISION = 32 - 8 - 2

        /** The weights with which [filter] brings [span] of an axis of `size` pixels to `out` pixels. */
        fun of(filter: Filter, span: Span, size: Int, out: Int): Coefficients {
            val scale = (span.stop - span.start).toDouble() / out
            val stretch = maxOf(1.0, scale)
            val support = filter.support * stretch
            val most = ceil(support).toInt() * 2 + 1
            val first = IntArray(out)
            val count = IntArray(out)
            val weights = IntArray(out * most)
            val exact = DoubleArray(most)
            for (i in 0 until out) {
                val centre = span.start + (i + 0.5) * scale
                val from = maxOf(0, (centre - support + 0.5).toInt())
                val to = minOf(size, (centre + support + 0.5).toInt())
                var total = 0.0
                for (k in 0 until to - from) {
                    exact[k] = filter.weight((k + from - centre + 0.5) * (1.0 / stretch))
                    total += exact[k]
                }
                for (k in 0 until to - from) {
                    weights[i * most + k] = fixed(if (total == 0.0) exact[k] else exact[k] / total)
                }
                first[i] = from
                count[i] = to - from
            }
            return Coefficients(first, count, most, weights)
        }

        private fun fixed(weight: Double): Int =
            (weight * (1 shl PRECISION) + if (weight < 0) -0.5 else 0.5).toInt()
    }
}
