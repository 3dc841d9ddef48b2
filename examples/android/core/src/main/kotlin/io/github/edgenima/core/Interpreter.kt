package io.github.edgenima.core

import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * A tensor of a model.
 *
 * @property shape such as 1, 224, 224, 3.
 * @property type "uint8", "int8", "float32" or another of TFLite's.
 * @property scale of quantised values, 0 when it has none: `(stored - zeroPoint) * scale`.
 */
public data class TensorInfo(
    val shape: List<Int>,
    val type: String,
    val scale: Double = 0.0,
    val zeroPoint: Int = 0,
)

/** What is called of a TFLite runtime; a test's fake has the same. */
public interface ModelRuntime : AutoCloseable {
    public val inputs: List<TensorInfo>
    public val outputs: List<TensorInfo>

    /**
     * Run the model once.
     *
     * @param input all of the first input, direct, in the machine's byte order.
     * @param output receives all of the first output, likewise, from index 0 on.
     */
    public fun run(input: ByteBuffer, output: ByteBuffer)
}

/** Makes a runtime of a model. */
public fun interface OpenRuntime {
    /**
     * @param model a whole .tflite, direct, in the machine's byte order; stays alive as long as the runtime does.
     * @throws ModelRejected the runtime refuses the file.
     */
    public fun open(model: ByteBuffer): ModelRuntime
}

/**
 * A model opened once, its buffers reused: uint8 pixels in, ten proportions out.
 *
 * The only place where a scale and a zero point are used.
 *
 * @param runtime the model, opened.
 * @param how the preprocessing of its card.
 * @throws ModelRejected not one picture in and ten proportions out.
 */
public class Interpreter(private val runtime: ModelRuntime, how: Preprocessing) : AutoCloseable {
    /** Where the next picture is written before [run]: `how.size` bytes. */
    public val pixels: ByteArray = ByteArray(how.size)

    /** How long the runtime took for the last [run], alone; nanoseconds. */
    public var runNanos: Long = 0
        private set

    private val out: TensorInfo
    private val writer: InputWriter
    private val input: ByteBuffer
    private val output: ByteBuffer

    init {
        val inputs = runtime.inputs
        val outputs = runtime.outputs
        if (inputs.size != 1 || outputs.size != 1) {
            throw ModelRejected("a scorer has 1 input and 1 output, this model has ${inputs.size} and ${outputs.size}")
        }
        out = outputs[0]
        val planes = how.axes == Axes.NCHW
        val wanted = if (planes) listOf(1, 3, how.height, how.width) else listOf(1, how.height, how.width, 3)
        val ten = listOf(1, BINS)
        if (inputs[0].shape != wanted || out.shape != ten) {
            throw ModelRejected(
                "a scorer maps ${told(wanted)} to ${told(ten)} (its card says ${how.width}x${how.height}), " +
                    "this model maps ${told(inputs[0].shape)} to ${told(out.shape)}",
            )
        }
        if (out.type !in OUTPUTS) {
            throw ModelRejected("the model's output is ${out.type}; possible: ${OUTPUTS.joinToString(", ")}")
        }
        writer = inputWriter(inputs[0], how)
        input = direct(how.size * if (inputs[0].type == "float32") 4 else 1)
        output = direct(BINS * if (out.type == "float32") 4 else 1)
    }

    /**
     * Score what [pixels] holds.
     *
     * @return ten proportions of the ratings 1..10.
     * @throws ModelRejected the runtime fails, or what comes out is no distribution.
     */
    public fun run(): DoubleArray {
        writer.write(pixels, input)
        input.rewind()
        output.rewind()
        val began = System.nanoTime()
        try {
            runtime.run(input, output)
        } catch (error: RuntimeException) {
            throw ModelRejected("the runtime fails on this model: ${reason(error)}", error)
        }
        runNanos = System.nanoTime() - began
        return fromOutput(DoubleArray(BINS, ::output))
    }

    override fun close(): Unit = runtime.close()

    // Widened before subtracting: int8 less a zero point of -128 wraps round.
    private fun output(bin: Int): Double = when (out.type) {
        "float32" -> output.getFloat(bin * 4).toDouble()
        "uint8" -> ((output.get(bin).toInt() and 0xff) - out.zeroPoint) * out.scale
        else -> (output.get(bin).toInt() - out.zeroPoint) * out.scale
    }

    private companion object {
        val OUTPUTS = listOf("float32", "uint8", "int8")

        fun direct(size: Int): ByteBuffer = ByteBuffer.allocateDirect(size).order(ByteOrder.nativeOrder())

        fun told(shape: List<Int>): String = shape.joinToString(", ", "(", ")")
    }
}
