package io.github.edgenima.core

import kotlin.math.abs
import kotlin.math.sqrt

/** Ratings are whole numbers from 1 to this. */
public const val BINS: Int = 10

private const val SUM_TOLERANCE = BINS * 0.5 / 256 + 0.001

/**
 * Scale votes or proportions so that they sum to 1.
 *
 * @param histogram ten votes or proportions of the ratings 1..10, finite and not negative.
 * @return ten proportions.
 * @throws IllegalArgumentException it is none.
 */
public fun asDistribution(histogram: DoubleArray): DoubleArray {
    require(histogram.size == BINS) { "a rating histogram has $BINS bins, this one has ${histogram.size}" }
    require(histogram.all { it.isFinite() && it >= 0 }) {
        "a rating histogram holds a value that is not finite, or negative"
    }
    val total = histogram.sum()
    require(total > 0) { "a rating histogram is all zero: nobody rated" }
    return DoubleArray(BINS) { histogram[it] / total }
}

/**
 * Mean opinion score, the sum over k of k * p_k (Talebi and Milanfar 2018, section III-A).
 *
 * @param distribution ten votes or proportions.
 * @return in 1..10.
 * @throws IllegalArgumentException as [asDistribution].
 */
public fun meanRating(distribution: DoubleArray): Double = meanOf(asDistribution(distribution))

/**
 * Standard deviation of the ratings around their mean.
 *
 * @param distribution ten votes or proportions.
 * @return rating points, 0..4.5.
 * @throws IllegalArgumentException as [asDistribution].
 */
public fun ratingStd(distribution: DoubleArray): Double = stdOf(asDistribution(distribution))

/** The mean of what sums to 1 already. */
internal fun meanOf(p: DoubleArray): Double = centre(p).coerceIn(1.0, 10.0)

/** The standard deviation of what sums to 1 already. */
internal fun stdOf(p: DoubleArray): Double {
    val mean = centre(p)
    var variance = 0.0
    for (bin in p.indices) variance += p[bin] * (bin + 1 - mean) * (bin + 1 - mean)
    return sqrt(maxOf(0.0, variance))
}

private fun centre(p: DoubleArray): Double {
    var mean = 0.0
    for (bin in p.indices) mean += (bin + 1) * p[bin]
    return mean
}

/**
 * A model's output as a distribution, divided by its sum.
 *
 * A quantised softmax rounds each of the ten to 1/256, also when its output is then widened to float32: the sum is off
 * by .02 at most, and dividing by it costs less than leaving it.
 *
 * @param output ten numbers, their scale and zero point already applied.
 * @throws ModelRejected a value is not finite or negative, or the sum is further from 1 than rounding explains.
 */
public fun fromOutput(output: DoubleArray): DoubleArray {
    val total = output.sum()
    val smallest = output.min()
    val finite = output.all { it.isFinite() }
    if (!finite || smallest < -1e-6 || abs(total - 1) > SUM_TOLERANCE) {
        throw ModelRejected(
            "the model's output is not a distribution: it sums to $total, smallest value $smallest; " +
                "a NIMA scorer ends in a softmax over ten ratings",
        )
    }
    val rounded = DoubleArray(output.size) { maxOf(0.0, output[it]) } // a rounding error below 0 is no share of anybody
    val all = rounded.sum()
    return DoubleArray(output.size) { rounded[it] / all }
}
