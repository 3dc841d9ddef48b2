package io.github.edgenima.core

import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.test.Test
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue

class InterpreterTest {
    @Test
    fun `bytes go into a graph that scales as they are`() {
        val input = written(TensorInfo(listOf(1, 1, 85, 3), "uint8"), Scaling.GRAPH, 1)
        assertContentEquals(ByteArray(255) { it.toByte() }, ByteArray(255) { input.get(it) })
    }

    @Test
    fun `floats are scaled and rounded once`() {
        val input = written(TensorInfo(listOf(1, 1, 85, 3), "float32"), Scaling.HOST, 4)
        for (p in 0 until 255) assertEquals((p / 127.5 - 1).toFloat(), input.getFloat(4 * p), 1e-7f)
        assertEquals(-1f, input.getFloat(0))
    }

    @Test
    fun `integers are scaled, rounded half to even, shifted and kept within their type`() {
        val signed = written(TensorInfo(listOf(1, 1, 85, 3), "int8", 1 / 127.5, 0), Scaling.HOST, 1)
        assertEquals(listOf(-128, -126, -126, 0, 126), listOf(0, 1, 2, 128, 254).map { signed.get(it).toInt() })
        val unsigned = written(TensorInfo(listOf(1, 1, 85, 3), "uint8", 1 / 127.5, 128), Scaling.HOST, 1)
        assertEquals(listOf(0, 2, 2, 128, 254), listOf(0, 1, 2, 128, 254).map { unsigned.get(it).toInt() and 255 })
    }

    @Test
    fun `the tensor holds what the command line's does`() {
        val vectors = Vectors.orSkip()
        val tensors = vectors.list("tensors")
        assertTrue(tensors.size > 6)
        for (told in tensors) {
            val type = told["dtype"].asString
            val input = TensorInfo(
                told["shape"].asJsonArray.map { it.asInt }, type, told["scale"].asDouble, told["zero_point"].asInt,
            )
            val pixels = told["pixels"].asJsonArray.map { it.asInt.toByte() }.toByteArray()
            val to = ByteBuffer.allocateDirect(pixels.size * 4).order(ByteOrder.nativeOrder())
            inputWriter(input, vectors.preprocessing(told["preprocessing"].asJsonObject)).write(pixels, to)
            val given = DoubleArray(pixels.size) {
                when (type) {
                    "float32" -> to.getFloat(4 * it).toDouble()
                    "uint8" -> (to.get(it).toInt() and 0xff).toDouble()
                    else -> to.get(it).toDouble()
                }
            }
            assertContentEquals(told["values"].doubles(), given, told.toString())
        }
    }

    private fun written(tensor: TensorInfo, scaling: Scaling, bytes: Int): ByteBuffer {
        val to = ByteBuffer.allocateDirect(255 * bytes).order(ByteOrder.nativeOrder())
        inputWriter(tensor, how(scaling)).write(ByteArray(255) { it.toByte() }, to)
        return to
    }

    @Test
    fun `a card and a model that do not fit together are refused`() {
        val shape = listOf(1, 1, 85, 3)
        val cases = mapOf(
            (TensorInfo(shape, "float32") to Scaling.GRAPH) to
                "the card says that scaling is in the graph, but the model's input is float32, not uint8",
            (TensorInfo(shape, "int32") to Scaling.HOST) to
                "the model's input is int32; possible: uint8, int8, float32",
            (TensorInfo(shape, "int8") to Scaling.HOST) to
                "the model's int8 input has no quantisation scale; its card must say scaling: graph",
            (TensorInfo(listOf(1, 2, 2, 3), "uint8") to Scaling.GRAPH) to
                "a scorer maps (1, 1, 85, 3) to (1, 10) (its card says 85x1), " +
                "this model maps (1, 2, 2, 3) to (1, 10)",
        )
        for ((given, wanted) in cases) {
            val runtime = FakeRuntime(given.first, TensorInfo(listOf(1, 10), "float32")) { }
            assertEquals(wanted, assertFailsWith<ModelRejected> { Interpreter(runtime, how(given.second)) }.message)
        }
        val two = object : ModelRuntime by FakeRuntime(TensorInfo(shape, "uint8"), answer = { }) {
            override val outputs = List(2) { TensorInfo(listOf(1, 10), "uint8") }
        }
        val message = assertFailsWith<ModelRejected> { Interpreter(two, how(Scaling.GRAPH)) }.message
        assertEquals("a scorer has 1 input and 1 output, this model has 1 and 2", message)
    }

    @Test
    fun `a quantised output is widened before its zero point is taken off`() {
        for ((type, zero) in listOf("int8" to -128, "uint8" to 0)) {
            val output = TensorInfo(listOf(1, 10), type, 1 / 256.0, zero)
            val runtime = FakeRuntime(TensorInfo(listOf(1, 1, 85, 3), "uint8"), output) {
                for (bin in 0..9) it.put(bin, (zero + if (bin == 9) 200 else if (bin == 0) 56 else 0).toByte())
            }
            val wanted = DoubleArray(10) { if (it == 9) 200 / 256.0 else if (it == 0) 56 / 256.0 else 0.0 }
            assertContentEquals(wanted, Interpreter(runtime, how(Scaling.GRAPH)).run(), type)
        }
    }

    private fun how(scaling: Scaling) =
        Preprocessing(85, 1, Fit.STRETCH, Filter.NEAREST, false, ChannelOrder.RGB, listOf(1 / 127.5), listOf(-1.0), scaling)
}

/** A runtime whose output `answer` writes. */
class FakeRuntime(
    input: TensorInfo,
    output: TensorInfo = TensorInfo(listOf(1, 10), "float32"),
    private val answer: (ByteBuffer) -> Unit,
) : ModelRuntime {
    override val inputs = listOf(input)
    override val outputs = listOf(output)
    var closed = false
        private set

    override fun run(input: ByteBuffer, output: ByteBuffer) = answer(output)

    override fun close() {
        closed = true
    }
}
