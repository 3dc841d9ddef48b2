package io.github.edgenima.core

import kotlin.math.max
import kotlin.math.min

/** One step of a resize, from pixels to pixels of 3 bytes. */
internal fun interface Pass {
    fun run(from: ByteArray, out: ByteArray)
}

/** One source pixel for each: nearest. */
internal class Pick(
    private val columns: IntArray,
    private val rows: IntArray,
    private val width: Int,
    order: ChannelOrder,
) : Pass {
    private val red = order.red

    override fun run(from: ByteArray, out: ByteArray) {
        var to = 0
        for (row in rows) {
            for (column in columns) {
                val at = (row * width + column) * 3
                out[to + red] = from[at]
                out[to + 1] = from[at + 1]
                out[to + 2 - red] = from[at + 2]
                to += 3
            }
        }
    }
}

/** Chosen rows of a picture `width` pixels wide, each to as many pixels as there are weights. */
internal class Narrow(
    private val weights: Coefficients,
    private val width: Int,
    private val rows: IntArray,
    order: ChannelOrder,
) : Pass {
    private val red = order.red

    override fun run(from: ByteArray, out: ByteArray) {
        var to = 0
        for (row in rows) {
            for (column in weights.first.indices) {
                var r = HALF
                var g = HALF
                var b = HALF
                var at = (row * width + weights.first[column]) * 3
                val start = column * weights.size
                for (k in start until start + weights.count[column]) {
                    val weight = weights.weights[k]
                    r += (from[at].toInt() and 0xff) * weight
                    g += (from[at + 1].toInt() and 0xff) * weight
                    b += (from[at + 2].toInt() and 0xff) * weight
                    at += 3
                }
                out[to + red] = level(r)
                out[to + 1] = level(g)
                out[to + 2 - red] = level(b)
                to += 3
            }
        }
    }
}

/** Rows of `length` bytes to as many as there are weights. */
internal class Shorten(private val weights: Coefficients, private val length: Int) : Pass {
    private val sums = IntArray(length)

    override fun run(from: ByteArray, out: ByteArray) {
        for (row in weights.first.indices) {
            sums.fill(HALF)
            var at = weights.first[row] * length
            val start = row * weights.size
            for (k in start until start + weights.count[row]) {
                val weight = weights.weights[k]
                for (i in sums.indices) sums[i] += (from[at + i].toInt() and 0xff) * weight
                at += length
            }
            for (i in sums.indices) out[row * length + i] = level(sums[i])
        }
    }
}

/** Where red is written; blue is on the other side of green. */
internal val ChannelOrder.red: Int get() = if (this == ChannelOrder.RGB) 0 else 2

private const val HALF = 1 shl (Coefficients.PRECISION - 1)

private fun level(sum: Int): Byte = min(max(sum shr Coefficients.PRECISION, 0), 255).toByte()
