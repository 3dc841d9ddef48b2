package io.github.edgenima.app

import io.github.edgenima.core.ModelRejected
import io.github.edgenima.core.ModelRuntime
import io.github.edgenima.core.TensorInfo
import io.github.edgenima.core.reason
import java.nio.ByteBuffer
import org.tensorflow.lite.Interpreter
import org.tensorflow.lite.Tensor

/**
 * TensorFlow Lite, now called LiteRT, on the processor.
 *
 * @param model a whole .tflite, direct, in the machine's byte order.
 * @throws ModelRejected it is not a model that it can run.
 */
class LiteRtInterpreter(model: ByteBuffer) : ModelRuntime {
    private val interpreter = try {
        Interpreter(model, Interpreter.Options().apply { setNumThreads(THREADS) })
    } catch (error: IllegalArgumentException) {
        throw ModelRejected("not a model that TensorFlow Lite can open: ${reason(error)}", error)
    } catch (error: IllegalStateException) {
        throw ModelRejected("TensorFlow Lite cannot prepare this model: ${reason(error)}", error)
    } catch (error: UnsatisfiedLinkError) {
        throw ModelRejected("TensorFlow Lite does not load on this device: ${reason(error)}", error)
    }

    override val inputs: List<TensorInfo> =
        List(interpreter.inputTensorCount) { told(interpreter.getInputTensor(it)) }
    override val outputs: List<TensorInfo> =
        List(interpreter.outputTensorCount) { told(interpreter.getOutputTensor(it)) }

    override fun run(input: ByteBuffer, output: ByteBuffer): Unit = interpreter.run(input, output)

    override fun close(): Unit = interpreter.close()

    private fun told(tensor: Tensor): TensorInfo {
        val quantisation = tensor.quantizationParams()
        return TensorInfo(
            tensor.shape().toList(),
            tensor.dataType().name.lowercase(),
            quantisation.scale.toDouble(),
            quantisation.zeroPoint,
        )
    }

    private companion object {
        /** A phone's fast cores; more would wait for the slow ones. */
        val THREADS = (Runtime.getRuntime().availableProcessors() / 2).coerceIn(1, 4)
    }
}
