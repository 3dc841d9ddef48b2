package io.github.edgenima.core

import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * How a crowd of people would rate a picture.
 *
 * @property distribution ten proportions of the ratings 1..10.
 * @property mean 1..10.
 * @property std rating points.
 * @property elapsedMs reading the pixels and inference, milliseconds.
 * @property inferenceMs inference alone, milliseconds.
 */
public class Score(
    public val distribution: DoubleArray,
    public val mean: Double,
    public val std: Double,
    public val elapsedMs: Double,
    public val inferenceMs: Double,
)

/**
 * The golden probes do not give on this device what they gave where the model was made.
 *
 * @property results one a probe, those that pass too.
 */
public class NotProven(message: String, public val results: List<ProbeResult>) : ModelRejected(message)

/**
 * A model that was proven on this device by its golden probes. There is no other way to one, so no number is ever shown
 * of a model that was not. For one thread at a time.
 *
 * @property label the model's name in score records.
 * @property proof one result a probe; all passed.
 */
public class Scorer private constructor(
    public val card: Card,
    public val label: String,
    public val proof: List<ProbeResult>,
    private val interpreter: Interpreter,
) : AutoCloseable {
    private val reader = FrameReader(card.preprocessing)

    /** Score a camera's frame. */
    public fun score(frame: CameraBuffer): Score = timed { reader.read(frame, interpreter.pixels) }

    /** Score an upright picture. */
    public fun score(picture: Picture): Score = timed { toInput(picture, card.preprocessing, interpreter.pixels) }

    /** The whole frame, to be kept; as [FrameReader.upright]. */
    public fun upright(frame: CameraBuffer, spare: ByteArray? = null): Picture = reader.upright(frame, spare)

    override fun close(): Unit = interpreter.close()

    private inline fun timed(read: () -> Unit): Score {
        val began = System.nanoTime()
        read()
        val p = interpreter.run()
        val elapsed = System.nanoTime() - began
        return Score(p, meanOf(p), stdOf(p), elapsed / NANOS_PER_MS, interpreter.runNanos / NANOS_PER_MS)
    }

    public companion object {
        private const val NANOS_PER_MS = 1e6

        /**
         * Open a model and prove it.
         *
         * @param model a whole .tflite with its card.
         * @param decoder of the probes' pictures.
         * @throws ModelRejected it carries no card or no probes, or the runtime cannot run it.
         * @throws NotProven a probe fails.
         */
        public fun open(model: ByteArray, decoder: PictureDecoder, openRuntime: OpenRuntime): Scorer {
            val card = Card.read(model)
            val direct = ByteBuffer.allocateDirect(model.size).order(ByteOrder.nativeOrder())
            direct.put(model)
            direct.rewind()
            val runtime = openRuntime.open(direct)
            try {
                val interpreter = Interpreter(runtime, card.preprocessing)
                val proof = checkModel(card, interpreter, decoder)
                val failed = proof.filter { it.problem != null }
                if (failed.isNotEmpty()) {
                    val first = "${failed[0].name}: ${failed[0].problem}"
                    throw NotProven(
                        "${card.name} does not score here as it did where it was made; " +
                            "${failed.size} of ${proof.size} golden probes fail: $first",
                        proof,
                    )
                }
                return Scorer(card, card.label(model), proof, interpreter)
            } catch (error: Throwable) {
                runtime.close()
                throw error
            }
        }
    }
}
