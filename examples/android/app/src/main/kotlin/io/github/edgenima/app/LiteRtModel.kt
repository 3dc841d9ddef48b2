package io.github.edgenima.app

import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import com.google.ai.edge.litert.LiteRtException
import com.google.ai.edge.litert.TensorBuffer
import io.github.edgenima.core.ModelRejected
import io.github.edgenima.core.ModelRuntime
import io.github.edgenima.core.TensorInfo
import io.github.edgenima.core.reason
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * LiteRT's CompiledModel on the processor, where an int8 model gives the numbers that its probes were made with.
 *
 * @param model a whole .tflite, in the machine's byte order.
 * @param folder for a copy of it while it is opened: CompiledModel takes no bytes, only a file.
 * @throws ModelRejected it is not a model that LiteRT can run.
 */
class LiteRtModel(model: ByteBuffer, folder: File) : ModelRuntime {
    override val inputs: List<TensorInfo>
    override val outputs: List<TensorInfo>
    private val compiled: CompiledModel
    private val from: List<TensorBuffer>
    private val to: List<TensorBuffer>
    private val values by lazy { inputs[0].shape.fold(1, Int::times) }
    private val bytes by lazy { ByteArray(values) }
    private val floats by lazy { FloatArray(values) }

    init {
        val graph = Graph(model)
        inputs = graph.inputs
        outputs = graph.outputs
        val file = File.createTempFile("model", ".tflite", folder)
        try {
            file.outputStream().channel.use { it.write(model.duplicate()) }
            val options = CompiledModel.Options(Accelerator.CPU)
            options.cpuOptions = CompiledModel.CpuOptions(THREADS)
            compiled = CompiledModel.create(file.path, options)
            from = compiled.createInputBuffers()
            to = compiled.createOutputBuffers()
        } catch (error: LiteRtException) {
            throw ModelRejected("not a model that LiteRT can open: ${reason(error)}", error)
        } catch (error: LinkageError) {
            throw ModelRejected("LiteRT does not load on this device: ${reason(error)}", error)
        } finally {
            // What LiteRT has mapped stays.
            file.delete()
        }
    }

    override fun run(input: ByteBuffer, output: ByteBuffer) {
        try {
            if (inputs[0].type == "float32") {
                input.asFloatBuffer().get(floats)
                from[0].writeFloat(floats)
            } else {
                input.get(bytes)
                from[0].writeInt8(bytes)
            }
            compiled.run(from, to)
            if (outputs[0].type == "float32") {
                output.asFloatBuffer().put(to[0].readFloat())
            } else {
                output.put(to[0].readInt8())
            }
        } catch (error: LiteRtException) {
            throw ModelRejected("LiteRT fails on this model: ${reason(error)}", error)
        }
    }

    override fun close() {
        (from + to).forEach { it.close() }
        compiled.close()
    }

    private companion object {
        /** A phone's fast cores; more would wait for the slow ones. */
        val THREADS = (Runtime.getRuntime().availableProcessors() / 2).coerceIn(1, 4)
    }
}

/**
 * Inputs and outputs of a .tflite, read from its flatbuffer: CompiledModel tells neither a scale nor a zero point.
 *
 * Fields are counted as in TensorFlow Lite's schema.fbs: a model's 2 is its graphs; a graph's 0, 1 and 2 are tensors,
 * inputs and outputs; a tensor's 0, 1 and 4 are shape, type and quantisation; and of that 2 and 3 are scales and zero
 * points.
 */
internal class Graph(model: ByteBuffer) {
    private val bytes = model.duplicate().order(ByteOrder.LITTLE_ENDIAN)
    val inputs: List<TensorInfo>
    val outputs: List<TensorInfo>

    init {
        try {
            val graph = follow(vector(field(follow(0), 2)).first)
            val tensors = vector(field(graph, 0))
            fun those(number: Int) =
                vector(field(graph, number)).map { tensor(follow(tensors.first + 4 * bytes.getInt(it))) }
            inputs = those(1)
            outputs = those(2)
        } catch (error: IndexOutOfBoundsException) {
            throw ModelRejected("its graph is damaged", error)
        }
    }

    private fun tensor(at: Int): TensorInfo {
        val type = field(at, 1)?.let { bytes.get(it).toInt() } ?: 0
        val quantisation = field(at, 4)?.let(::follow)
        val scale = quantisation?.let { field(it, 2) }?.let { vector(it).firstOrNull() }
        val zero = quantisation?.let { field(it, 3) }?.let { vector(it).firstOrNull() }
        return TensorInfo(
            vector(field(at, 0)).map { bytes.getInt(it) },
            TYPES[type] ?: "type $type of TensorFlow Lite",
            scale?.let { bytes.getFloat(it).toDouble() } ?: 0.0,
            zero?.let { bytes.getLong(it).toInt() } ?: 0,
        )
    }

    private fun follow(at: Int) = at + bytes.getInt(at)

    /** Where a table's field lies; null when it is left out. */
    private fun field(table: Int, number: Int): Int? {
        val layout = table - bytes.getInt(table)
        val slot = 4 + 2 * number
        val offset = if (slot < bytes.getShort(layout)) bytes.getShort(layout + slot).toInt() else 0
        return if (offset == 0) null else table + offset
    }

    /** Where the elements of a vector lie, four bytes each; only the first of them where an element is longer. */
    private fun vector(field: Int?): IntProgression {
        val start = follow(field ?: throw IndexOutOfBoundsException())
        val count = bytes.getInt(start)
        if (count !in 0..bytes.limit() / 4) throw IndexOutOfBoundsException()
        return start + 4 until start + 4 + 4 * count step 4
    }

    private companion object {
        val TYPES = mapOf(0 to "float32", 3 to "uint8", 9 to "int8")
    }
}
