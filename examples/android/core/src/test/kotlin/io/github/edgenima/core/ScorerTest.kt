package io.github.edgenima.core

import com.google.gson.JsonObject
import java.nio.ByteBuffer
import kotlin.math.abs
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertNotNull
import kotlin.test.assertTrue

class ScorerTest {
    @Test
    fun `the model proves itself here and scores as the command line does`() {
        val vectors = Vectors.orSkip()
        Scorer.open(vectors.model, ImageIoDecoder, ::JvmTflite).use { scorer ->
            assertEquals(vectors.probes, scorer.proof.size)
            for (probe in scorer.proof) assertTrue(probe.pixelsSame == true && probe.inputSame == true, probe.name)
            val largest = scorer.proof.maxOf { abs(it.ownGap) }
            println("self-check: largest difference from where it was made %.1e".format(largest))
            val pictures = vectors.pictures.map { told ->
                gap(vectors, scorer, told, scorer.score(readPicture(vectors.bytes(told["file"]), ImageIoDecoder)))
            }
            println("end scores, ${pictures.size} pictures: ${told(pictures)}")
            val buffers = vectors.buffers.map { gap(vectors, scorer, it, scorer.score(vectors.buffer(it))) }
            println("end scores, ${buffers.size} camera buffers: ${told(buffers)}")
        }
    }

    /**
     * How far the mean lies from the command line's. The inputs are the same bytes, so what is left is the runtimes'
     * arithmetic: in floats it is the same; in integers each release of XNNPACK rounds otherwise, and what the card
     * allows for that is what is held here.
     */
    private fun gap(vectors: Vectors, scorer: Scorer, told: JsonObject, score: Score): Double {
        val floats = scorer.card.recipe.startsWith("float")
        val limit = if (floats) vectors.largestMeanGap else scorer.card.tolerance.own
        val name = told["name"].asString
        assertEquals(1.0, score.distribution.sum(), 1e-9, name)
        assertEquals(told["std"].asDouble, score.std, limit, "$name, spread")
        assertEquals(told["mean"].asDouble, score.mean, limit, "$name, mean")
        return abs(score.mean - told["mean"].asDouble)
    }

    private fun told(gaps: List<Double>) =
        "the mean differs by %.1e at most, %.1e on average".format(gaps.max(), gaps.average())

    @Test
    fun `a runtime that gives other answers is refused and closed`() {
        val vectors = Vectors.orSkip()
        val wrong = mapOf<String, (ByteBuffer) -> Unit>(
            "the same for all" to { out -> for (bin in 0..9) out.putFloat(bin * 4, 0.1f) },
            "nothing" to { },
            "NaN" to { out -> for (bin in 0..9) out.putFloat(bin * 4, Float.NaN) },
            "an exception" to { throw IllegalStateException("the delegate\nis gone") },
        )
        for ((what, answer) in wrong) {
            val runtime = fake(vectors, answer)
            val error = assertFailsWith<NotProven>(what) { Scorer.open(vectors.model, ImageIoDecoder) { runtime } }
            val wanted = "${vectors.probes} of ${vectors.probes} golden probes fail"
            assertTrue(wanted in assertNotNull(error.message), error.message)
            assertEquals(vectors.probes, error.results.count { it.problem != null }, what)
            assertTrue(runtime.closed, what)
            if (what == "an exception") assertTrue("the delegate is gone" in error.message!!, error.message)
        }
    }

    @Test
    fun `answers a little beyond the card's tolerance are refused and within it accepted`() {
        val vectors = Vectors.orSkip()
        val card = Card.read(vectors.model)
        for ((share, proven) in listOf(0.9 to true, 1.1 to false)) {
            var turn = 0
            val runtime = fake(vectors) { out ->
                // Mass moved from a bin to the next changes the mean by as much.
                val p = card.probes[turn++ % card.probes.size].own.copyOf()
                val from = p.indices.first { it < 9 && p[it] > 0.1 }
                p[from] -= card.tolerance.own * share
                p[from + 1] += card.tolerance.own * share
                for (bin in 0..9) out.putFloat(bin * 4, p[bin].toFloat())
            }
            val given = runCatching { Scorer.open(vectors.model, ImageIoDecoder) { runtime } }
            assertEquals(proven, given.isSuccess, "$share of the tolerance: ${given.exceptionOrNull()?.message}")
        }
    }

    @Test
    fun `a decoder that gives other pixels is refused though the score is right`() {
        val vectors = Vectors.orSkip()
        val off = PictureDecoder { file ->
            ImageIoDecoder.decode(file).also { it.rgba[0] = (it.rgba[0] + 1).toByte() }
        }
        val error = assertFailsWith<NotProven> { Scorer.open(vectors.model, off, ::JvmTflite) }
        assertTrue(error.results.all { it.problem!!.startsWith("decodes to other pixels") })
        val none = PictureDecoder { throw PictureRejected("damaged: no memory") }
        val failed = assertFailsWith<NotProven> { Scorer.open(vectors.model, none, ::JvmTflite) }
        assertTrue("damaged: no memory" in failed.message!!, failed.message)
    }

    @Test
    fun `a model without probes is refused`() {
        val vectors = Vectors.orSkip()
        val card = Card.read(vectors.model)
        val bare = Card(card.name, card.preprocessing, card.recipe, null, card.tolerance, emptyList())
        val interpreter = Interpreter(fake(vectors) { }, card.preprocessing)
        val message = assertFailsWith<ModelRejected> { checkModel(bare, interpreter, ImageIoDecoder) }.message
        val wanted = "${card.name} carries no golden probes, so there is nothing to check it by; convert it again"
        assertEquals(wanted, message)
    }

    private fun fake(vectors: Vectors, answer: (ByteBuffer) -> Unit): FakeRuntime {
        val how = Card.read(vectors.model).preprocessing
        return FakeRuntime(TensorInfo(listOf(1, how.height, how.width, 3), "uint8"), answer = answer)
    }
}
