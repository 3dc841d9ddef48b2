package io.github.edgenima.core

import kotlin.math.abs
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue

class DistributionTest {
    @Test
    fun `votes give the distribution, mean and spread of the command line`() {
        val cases = Vectors.orSkip().list("distributions")
        assertTrue(cases.size >= 20)
        for (told in cases) {
            val votes = told["votes"].doubles()
            assertClose(told["distribution"].doubles(), asDistribution(votes), told.toString())
            assertEquals(told["mean"].asDouble, meanRating(votes), 1e-12, told.toString())
            // Two ratings of one value: a spread of 0 may be 1e-8 by rounding.
            assertEquals(told["std"].asDouble, ratingStd(votes), 1e-7, told.toString())
        }
    }

    @Test
    fun `outputs of a model give the distribution of the command line, or are refused`() {
        val cases = Vectors.orSkip().list("outputs")
        assertTrue(cases.any { it["distribution"].isJsonNull } && cases.any { !it["distribution"].isJsonNull })
        for (told in cases) {
            val raw = told["raw"].doubles()
            if (told["distribution"].isJsonNull) {
                assertFailsWith<ModelRejected> { fromOutput(raw) }
            } else {
                assertClose(told["distribution"].doubles(), fromOutput(raw), told.toString())
            }
        }
    }

    @Test
    fun `an output that is not finite is refused`() {
        for (bad in listOf(Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY)) {
            assertFailsWith<ModelRejected> { fromOutput(DoubleArray(10) { if (it == 3) bad else 0.1 }) }
        }
    }

    @Test
    fun `a histogram that is none is refused`() {
        assertFailsWith<IllegalArgumentException> { asDistribution(DoubleArray(9) { 1.0 }) }
        assertFailsWith<IllegalArgumentException> { asDistribution(DoubleArray(10)) }
        assertFailsWith<IllegalArgumentException> { asDistribution(DoubleArray(10) { if (it == 0) -1.0 else 1.0 }) }
        assertFailsWith<IllegalArgumentException> { asDistribution(DoubleArray(10) { Double.NaN }) }
    }

    private fun assertClose(wanted: DoubleArray, given: DoubleArray, what: String) {
        assertEquals(wanted.size, given.size)
        for (bin in wanted.indices) assertTrue(abs(wanted[bin] - given[bin]) <= 1e-12, what)
    }
}
