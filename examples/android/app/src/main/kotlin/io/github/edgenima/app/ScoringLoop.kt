package io.github.edgenima.app

import io.github.edgenima.core.BestOfWindow
import io.github.edgenima.core.CameraBuffer
import io.github.edgenima.core.ModelRejected
import io.github.edgenima.core.NotProven
import io.github.edgenima.core.OpenRuntime
import io.github.edgenima.core.Picture
import io.github.edgenima.core.PictureDecoder
import io.github.edgenima.core.ProbeResult
import io.github.edgenima.core.Score
import io.github.edgenima.core.ScoreRecord
import io.github.edgenima.core.Scorer
import io.github.edgenima.core.reason
import java.io.IOException
import java.util.concurrent.Executor
import java.util.concurrent.Executors

/** What is known of the model. */
sealed interface ModelState {
    /** It is being read and proven. */
    data object Loading : ModelState

    /** It is not used. */
    class Refused(val why: String, val probes: List<ProbeResult>) : ModelState

    /** It scores here as it does where it was made. */
    class Proven(
        val label: String,
        val preprocessing: String,
        val gate: String?,
        val probes: List<ProbeResult>,
    ) : ModelState
}

/** One scored frame; `framesPerSecond` over about the last second. */
class Reading(val score: Score, val framesPerSecond: Double)

/** The best frame of a window of time. */
class BestFrame(val picture: Picture, private val score: Score, private val scorer: Scorer) {
    val mean: Double get() = score.mean
    val std: Double get() = score.std

    /** The model's name in score records. */
    val label: String get() = scorer.label

    /** Its score under the name of the file that it was put into. */
    fun record(file: String, size: Long, mtimeNs: Long): ScoreRecord =
        ScoreRecord(file, score, scorer.label, scorer.card.preprocessing.describe(), size, mtimeNs)
}

/** Hears what [ScoringLoop] does; called on its thread. */
interface ScoringListener {
    fun model(state: ModelState)

    fun reading(reading: Reading)

    fun best(frame: BestFrame)
}

/**
 * Model and frames meet here, on one thread of their own. No frame is scored before the model proved itself.
 */
class ScoringLoop(
    private val decoder: PictureDecoder,
    private val openRuntime: OpenRuntime,
    private val listener: ScoringListener,
) : AutoCloseable {
    private val thread = Executors.newSingleThreadExecutor { Thread(it, "scoring") }
    private val rate = FrameRate()
    private var scorer: Scorer? = null
    private var spare: ByteArray? = null
    private val best = BestOfWindow<BestFrame>(WINDOW_SECONDS) { spare = it.picture.rgb }

    /** Where [frame] is to be called. */
    val executor: Executor get() = thread

    /** Read a model, prove it, and score with it from then on. The one before is given up at once. */
    fun use(read: () -> ByteArray): Unit = thread.execute {
        giveUp()
        listener.model(ModelState.Loading)
        try {
            val opened = Scorer.open(read(), decoder, openRuntime)
            scorer = opened
            val card = opened.card
            listener.model(
                ModelState.Proven(opened.label, card.preprocessing.describe(), card.gate?.describe(), opened.proof),
            )
        } catch (error: NotProven) {
            listener.model(ModelState.Refused(reason(error), error.results))
        } catch (error: ModelRejected) {
            listener.model(ModelState.Refused(reason(error), emptyList()))
        } catch (error: IOException) {
            listener.model(ModelState.Refused("the model's file cannot be read: ${reason(error)}", emptyList()))
        }
    }

    /** Score a frame; nothing happens while there is no proven model. On [executor] only. */
    fun frame(buffer: CameraBuffer) {
        val scorer = scorer ?: return
        val score = try {
            scorer.score(buffer)
        } catch (error: ModelRejected) {
            giveUp()
            return listener.model(ModelState.Refused(reason(error), emptyList()))
        }
        val at = System.nanoTime()
        listener.reading(Reading(score, rate.tick(at)))
        val seconds = at / NANOS_PER_SECOND
        if (best.due(seconds)) hand()
        if (best.wouldKeep(score.mean)) {
            val picture = scorer.upright(buffer, spare)
            if (picture.rgb === spare) spare = null
            best.offer(BestFrame(picture, score, scorer), score.mean, seconds)
        }
    }

    /** The camera stops: the window ends, and the rate begins anew. */
    fun pause(): Unit = thread.execute {
        hand()
        rate.reset()
    }

    override fun close() {
        thread.execute(::giveUp)
        thread.shutdown()
    }

    private fun hand() {
        best.flush()?.let(listener::best)
    }

    private fun giveUp() {
        hand()
        scorer?.close()
        scorer = null
    }

    private companion object {
        /** Of each stretch of so much time the best frame is kept. */
        const val WINDOW_SECONDS = 30.0
        const val NANOS_PER_SECOND = 1e9
    }
}
