package io.github.edgenima.core

import kotlin.random.Random
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertTrue

class RecordsTest {
    @Test
    fun `a record is the line that the command line writes`() {
        val p = doubleArrayOf(0.1, 0.2, 0.3, 0.4, 0.0, 1e-5, 1.5e-9, 2.0 / 3, 0.1 + 0.2, 5e-324)
        val score = Score(p, 5.0, 1.25, 12.5, 8.0)
        val line = ScoreRecord("a \"b\"\\é\n\u007f", score, "small@01234567", "8x8", 5_000_000_000, null).toJsonLine()
        // json.dumps of the same in Python 3.
        val wanted = """{"name": "a \"b\"\\\u00e9\n\u007f", "mean": 5.0, "std": 1.25, "distribution": """ +
            "[0.1, 0.2, 0.3, 0.4, 0.0, 1e-05, 1.5e-09, 0.6666666666666666, 0.30000000000000004, 5e-324], " +
            """"model": "small@01234567", "elapsed_ms": 12.5, "error": null, "preprocessing": "8x8", """ +
            """"size": 5000000000, "mtime_ns": null}""" + "\n"
        assertEquals(wanted, line)
    }

    @Test
    fun `a number is written in the fewest digits that read back the same`() {
        val cases = mapOf(
            2.0e-3 to "0.002", 1e16 to "1e+16", 1e15 to "1000000000000000.0",
            123456789012345680.0 to "1.2345678901234568e+17",
            2e23 to "2e+23", 0.0001 to "0.0001", 0.00001 to "1e-05", -0.0 to "-0.0", -1.5 to "-1.5",
            Double.MAX_VALUE to "1.7976931348623157e+308", 100.0 to "100.0",
        )
        for ((value, text) in cases) assertEquals(text, shortest(value))
        val random = Random(1)
        repeat(20_000) {
            val value = Double.fromBits(random.nextLong())
            if (value.isFinite()) {
                val text = shortest(value)
                assertEquals(value, text.toDouble(), text)
                assertTrue(text.length <= 25 && digits(text) <= digits(value.toString()), "$text, not $value")
            }
        }
    }

    private fun digits(number: String) =
        number.lowercase().substringBefore('e').filter { it.isDigit() }.trim('0').length

    @Test
    fun `a number for a person has six digits`() {
        val cases = mapOf(
            1 / 127.5 to "0.00784314", 1.0 to "1", 0.0 to "0", 1e-5 to "1e-05", 1234567.0 to "1.23457e+06",
            123456.0 to "123456", 0.001 to "0.001", 999999.5 to "1e+06", -0.5 to "-0.5",
        )
        for ((value, text) in cases) assertEquals(text, general(value))
    }
}
