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
        if (how.axes == Axes.NCHW) {
            return InputWriter { pixels, to -> eachLevel(how, 1) { at, i, _ -> to.put(at, pixels[i]) } }
        }
        return InputWriter { pixels, to ->
            to.rewind()
            to.put(pixels)
        }
    }
    // 256 values, or 256 for each of the three channels.
    val tables = maxOf(how.scale.size, how.offset.size)
    val scaled = DoubleArray(256 * tables) {
        (it and 255) * how.scale[(it shr 8) % how.scale.size] + how.offset[(it shr 8) % how.offset.size]
    }
    if (type == "float32") return floats(FloatArray(scaled.size) { scaled[it].toFloat() }, how, tables)
    if (type != "uint8" && type != "int8") {
        throw ModelRejected("the model's input is $type; possible: uint8, int8, float32")
    }
    if (!(input.scale > 0)) {
        throw ModelRejected("the model's $type input has no quantisation scale; its card must say scaling: graph")
    }
    val limits = if (type == "uint8") 0.0..255.0 else -128.0..127.0
    val table = ByteArray(scaled.size) {
        (Math.rint(scaled[it] / input.scale) + input.zeroPoint).coerceIn(limits).toInt().toByte()
    }
    return InputWriter { pixels, to ->
        eachLevel(how, tables) { at, i, start -> to.put(at, table[start + (pixels[i].toInt() and 0xff)]) }
    }
}

/** Where each level of a picture belongs in the tensor, which it is, and where its channel's table begins. */
private inline fun eachLevel(how: Preprocessing, tables: Int, write: (at: Int, index: Int, start: Int) -> Unit) {
    val planes = how.axes == Axes.NCHW
    for (channel in 0 until 3) {
        val start = if (tables == 3) channel * 256 else 0
        var at = if (planes) channel * how.width * how.height else channel
        for (index in channel until how.size step 3) {
            write(at, index, start)
            at += if (planes) 1 else 3
        }
    }
}

private fun floats(table: FloatArray, how: Preprocessing, tables: Int): InputWriter {
    var of: ByteBuffer? = null
    var view: FloatBuffer? = null
    return InputWriter { pixels, to ->
        // A view of the buffer is made once, not with every frame.
        val floats = view.takeIf { of === to } ?: to.rewind().let { to.asFloatBuffer() }
        of = to
        view = floats
        eachLevel(how, tables) { at, i, start -> floats.put(at, table[start + (pixels[i].toInt() and 0xff)]) }
    }
}
