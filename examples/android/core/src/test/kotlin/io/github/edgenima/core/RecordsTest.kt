package io.github.edgenima.core

import com.google.gson.JsonParser
import kotlin.test.Test
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals

class RecordsTest {
    @Test
    fun `a record is a line of the fields that the command line reads`() {
        val p = doubleArrayOf(0.1, 0.2, 0.3, 0.4, 0.0, 1e-5, 1.5e-9, 2.0 / 3, 0.1 + 0.2, 5e-324)
        val name = "a \"b\"\\é\n\u007f📷"
        val score = Score(p, 5.0, 1.25, 12.5, 8.0)
        val line = ScoreRecord(name, score, "small@01234567", "8x8", 5_000_000_000, null).toJsonLine()
        assertEquals(listOf(line.length - 1), line.indices.filter { line[it] == '\n' })
        val read = JsonParser.parseString(line).asJsonObject
        assertContentEquals(p, read.remove("distribution").asJsonArray.map { it.asDouble }.toDoubleArray())
        assertEquals(name, read.remove("name").asString)
        val wanted = """{"mean":5.0,"std":1.25,"model":"small@01234567","elapsed_ms":12.5,"error":null,""" +
            """"preprocessing":"8x8","size":5000000000,"mtime_ns":null}"""
        assertEquals(wanted, read.toString())
    }
}
