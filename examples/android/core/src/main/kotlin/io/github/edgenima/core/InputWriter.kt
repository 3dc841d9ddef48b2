package io.github.edgenima.core

import java.nio.ByteBuffer
import java.nio.FloatBuffer

/** Writes pixels 0..255 as a model's input wants them, to the buffer's start. */
internal fun interface InputWriter {
    fun write(pixels: ByteArray, to: ByteBuffer)
}

/**
 * What each pixel value 0..255 becomes for a model.
 *
 * @param input of the model.
 * @throws ModelRejected the card and the model do not fit together.
 */
internal fun inputWriter(input: TensorInfo, how: Preprocessing): InputWriter {
    val type = input.type
    if (how.scaling == Scaling.GRAPH) {
        if (type != "uint8") {
            throw ModelRejected("the card says that scaling is in the graph, but the model's input is $type, not uint8")
        }
        return InputWriter { pixels, to ->
            to.rewind()
            to.put(pixels)
        }
    }
    val scaled = DoubleArray(256) { it * how.scale + how.offset }
    if (type == "float32") return floats(FloatArray(256) { scaled[it].toFloat() })
    if (type != "uint8" && type != "int8") {
        throw ModelRejected("the model's input is $type; possible: uint8, int8, float32")
    }
    if (!(input.scale > 0)) {
        throw ModelRejected("the model's $type input has no quantisation scale; its card must say scaling: graph")
    }
    val limits = if (type == "uint8") 0.0..255.0 else -128.0..127.0
    val table = ByteArray(256) {
        (Math.rint(scaled[it] / input.scale) + input.zeroPoint).coerceIn(limits).toInt().toByte()
    }
    return InputWriter { pixels, to ->
        for (i in pixels.indices) to.put(i, table[pixels[i].toInt() and 0xff])
    }
}

private fun floats(table: FloatArray): InputWriter {
    var of: ByteBuffer? = null
    var view: FloatBuffer? = null
    return InputWriter { pixels, to ->
        // A view of the buffer is made once, not with every frame.
        val floats = view.takeIf { of === to } ?: to.rewind().let { to.asFloatBuffer() }
        of = to
        view = floats
        for (i in pixels.indices) floats.put(i, table[pixels[i].toInt() and 0xff])
    }
}
