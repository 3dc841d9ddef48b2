package io.github.edgenima.core

import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertNotNull
import kotlin.test.assertTrue

class CardTest {
    @Test
    fun `every card is accepted or refused as the command line does, for the same part`() =
        assertSame("cards", 25, Card::parse)

    @Test
    fun `every model is accepted or refused as the command line does, for the same part`() =
        assertSame("models", 10, Card::read)

    private fun assertSame(kind: String, least: Int, read: (ByteArray) -> Card) {
        val vectors = Vectors.orSkip()
        assertTrue(vectors.list(kind).size >= least)
        for (told in vectors.list(kind)) {
            val name = told["file"].asString
            val refused = told["refused"].asString
            val error = runCatching { read(vectors.bytes(told["file"])) }.exceptionOrNull()
            assertEquals(refused.isEmpty(), error == null, "$name: $error")
            if (error == null) continue
            assertTrue(error is ModelRejected && refused in error.message!!, "$name: $error does not name $refused")
        }
    }

    @Test
    fun `a model cut anywhere is refused and never crashes`() {
        val model = Vectors.orSkip().let { it.bytes(it.list("models").first()["file"]) }
        assertNotNull(Card.read(model))
        for (length in 0 until model.size step 5) {
            assertFailsWith<ModelRejected>("$length") { Card.read(model.copyOf(length)) }
        }
    }

    @Test
    fun `a model with any byte changed is read or refused and never crashes`() {
        val model = Vectors.orSkip().let { it.bytes(it.list("models").first()["file"]) }
        for (at in model.indices step 3) {
            for (flip in listOf(1, 0xff)) {
                val changed = model.copyOf().also { it[at] = (it[at].toInt() xor flip).toByte() }
                val error = runCatching { Card.read(changed) }.exceptionOrNull()
                assertTrue(error == null || error is ModelRejected, "byte $at: $error")
            }
        }
    }

    @Test
    fun `preprocessing is told as the command line tells it`() {
        val vectors = Vectors.orSkip()
        for ((key, how) in vectors.hows) assertEquals(vectors.described[key], how.describe())
    }

    @Test
    fun `the model's card and label are those of the command line`() {
        val vectors = Vectors.orSkip()
        val card = Card.read(vectors.model)
        assertEquals(vectors.label, card.label(vectors.model))
        assertEquals(vectors.hows["card"], card.preprocessing)
    }

    @Test
    fun `a gate that failed names what failed`() {
        val gate = """{"status": "failed", "n": 40, "on": "photographs", "failures":
            [{"statistic": "mae", "value": 0.0213456, "side": "max", "limit": 0.015},
             {"statistic": "srcc", "value": null, "side": "min", "limit": 0.99},
             {"statistic": "flips", "value": 0.2, "side": "max", "limit": 0.02, "note": "8 of 40"}]}"""
        val card = Card.parse(card(""", "gate": $gate"""))
        val told = "failed (n=40, photographs): mae 0.0213456 (at most 0.015), srcc undefined (at least 0.99), " +
            "flips 0.2 (at most 0.02; 8 of 40)"
        assertEquals(told, card.gate?.describe())
    }

    @Test
    fun `a gate that contradicts itself is refused`() {
        val gates = listOf(
            """{"status": "failed", "n": 4}""",
            """{"status": "odd", "n": 4}""",
            """{"status": "passed", "n": 4.0}""",
            """{"status": "passed", "n": 4, "failures": [{"statistic": "x", "side": "min", "limit": 1}]}""",
            """{"status": "failed", "n": 4, "failures": [{"statistic": "x", "side": "min", "limit": 1, "note": 5}]}""",
            """{"status": "failed", "n": 4, "failures": [{"statistic": "x", "side": "left", "limit": 1}]}""",
            "[]",
        )
        for (gate in gates) {
            val error = assertFailsWith<ModelRejected>(gate) { Card.parse(card(""", "gate": $gate""")) }
            assertTrue("gate" in error.message!!, error.message)
        }
    }

    @Test
    fun `numbers that are none are refused`() {
        for (scale in listOf("NaN", "1e999", "\"1\"", "true", "null")) {
            assertFailsWith<ModelRejected>(scale) { Card.parse(card("", scale = scale)) }
        }
    }

    private fun card(more: String, scale: String = "1.0") =
        """{"format": "edge-nima card", "format_version": 1, "name": "small", "preprocessing":
            {"width": 8, "height": 8, "fit": "stretch", "filter": "nearest", "antialias": false,
             "channel_order": "RGB", "scale": $scale, "offset": 0, "scaling": "graph"}$more}""".toByteArray()
}
