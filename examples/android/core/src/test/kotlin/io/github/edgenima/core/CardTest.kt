package io.github.edgenima.core

import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertNotNull
import kotlin.test.assertTrue

class CardTest {
    @Test
    fun `every card is accepted or refused as the command line does, for the same reason`() {
        val vectors = Vectors.orSkip()
        val cards = vectors.list("cards")
        assertTrue(cards.size >= 25)
        for (told in cards) {
            val why = told["why"].takeUnless { it.isJsonNull }?.asString
            val given = runCatching { Card.parse(vectors.bytes(told["file"])) }
            assertSame(told["file"].asString, told["accepted"].asBoolean, why, given)
        }
    }

    @Test
    fun `every model is accepted or refused as the command line does, for the same reason`() {
        val vectors = Vectors.orSkip()
        for (told in vectors.list("models")) {
            val why = told["why"].takeUnless { it.isJsonNull }?.asString
            val given = runCatching { Card.read(vectors.bytes(told["file"])) }
            assertSame(told["file"].asString, told["accepted"].asBoolean, why, given)
        }
    }

    private fun assertSame(name: String, accepted: Boolean, why: String?, given: Result<Card>) {
        assertEquals(accepted, given.isSuccess, "$name: ${given.exceptionOrNull()}")
        val error = given.exceptionOrNull() ?: return
        assertTrue(error is ModelRejected, "$name: $error")
        val message = assertNotNull(error.message).lowercase()
        // What to do differs, and what a parser says of JSON; Python writes True where JSON has true.
        val wanted = why!!.lowercase().substringBefore(", this edge_nima").substringBefore(" (expecting")
        assertTrue(wanted.removePrefix("it ") in message, "$name\n  wanted: $wanted\n  given:  $message")
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
             {"statistic": "flips", "value": 0.2, "side": "max", "limit": 0.02, "note": "8 of\u001b 40"}]}"""
        val card = Card.parse(card(""", "gate": $gate"""))
        val told = "failed (n=40, photographs): mae 0.0213456 (at most 0.015), srcc undefined (at least 0.99), " +
            "flips 0.2 (at most 0.02; 8 of\\u001b 40)"
        assertEquals(told, card.gate?.describe())
    }

    @Test
    fun `a gate that contradicts itself is refused`() {
        val parts = mapOf(
            """{"status": "failed", "n": 4}""" to "the card's gate says failed with 0 failures",
            """{"status": "odd", "n": 4}""" to
                "the card's gate has the status 'odd'; possible: passed, failed, not judged",
            """{"status": "passed", "n": 4.0}""" to "the card's gate has n 4.0; possible: a whole number",
            """{"status": "failed", "n": 4, "failures":
                [{"statistic": "x", "side": "min", "limit": 1, "note": 5}]}""" to
                "the card's gate has a failure whose note is not text",
            """{"status": "passed", "n": 4, "limits": {"mae_max": "x"}}""" to
                "the card's gate has limits that are not numbers by name",
        )
        for ((gate, wanted) in parts) {
            val error = assertFailsWith<ModelRejected> { Card.parse(card(""", "gate": $gate""")) }
            assertEquals(wanted, error.message)
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
