package io.github.edgenima.app

import io.github.edgenima.core.Layout
import io.github.edgenima.core.ProbeResult
import io.github.edgenima.core.frame
import java.io.FileNotFoundException
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.TimeUnit
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFalse
import kotlin.test.assertIs
import kotlin.test.assertNotNull
import kotlin.test.assertTrue

class LogicTest {
    private val proven = ModelState.Proven("small@01234567", "8x8", null, emptyList<ProbeResult>())

    @Test
    fun `a refused model is told before anything else`() {
        val refused = ModelState.Refused("no card", emptyList())
        val stage = Stage.of(refused, Permission.NOT_YET, "no camera")
        assertEquals("no card", assertIs<Stage.ModelRefused>(stage).why)
    }

    @Test
    fun `scores are shown of a proven model and an open camera only`() {
        assertEquals(Stage.Live, Stage.of(proven, Permission.GRANTED, null))
        assertEquals(Stage.Loading, Stage.of(ModelState.Loading, Permission.GRANTED, null))
        assertIs<Stage.NoCamera>(Stage.of(proven, Permission.GRANTED, "in use"))
        assertFalse(assertIs<Stage.NoPermission>(Stage.of(proven, Permission.NOT_YET, null)).forGood)
        assertTrue(assertIs<Stage.NoPermission>(Stage.of(proven, Permission.REFUSED_FOR_GOOD, null)).forGood)
    }

    @Test
    fun `the frame rate is that of the last second`() {
        val rate = FrameRate()
        assertEquals(0.0, rate.tick(0))
        for (frame in 1..40) assertEquals(20.0, rate.tick(frame * 50_000_000L), 1e-9)
        var last = 0.0
        for (frame in 1..40) last = rate.tick(2_000_000_000L + frame * 100_000_000L)
        assertEquals(10.0, last, 1e-9)
        assertEquals(0.5, rate.tick(8_000_000_000L), 1e-9)
        rate.reset()
        assertEquals(0.0, rate.tick(9_000_000_000L))
    }

    @Test
    fun `more frames a second than are remembered are counted too`() {
        val rate = FrameRate()
        var last = 0.0
        for (frame in 0..500) last = rate.tick(frame * 5_000_000L)
        assertEquals(200.0, last, 1e-9)
    }

    @Test
    fun `a screen reader hears the first score, then changes, and seldom`() {
        val announcer = Announcer()
        val second = 1_000_000_000L
        assertTrue(announcer.isDue(5.0, 0))
        assertFalse(announcer.isDue(6.0, 4 * second))
        assertFalse(announcer.isDue(5.05, 6 * second))
        assertTrue(announcer.isDue(5.2, 7 * second))
        assertFalse(announcer.isDue(9.0, 8 * second))
    }

    @Test
    fun `a model that cannot be read is told in one line`() {
        val states = LinkedBlockingQueue<ModelState>()
        val listener = object : ScoringListener {
            override fun model(state: ModelState) {
                states += state
            }

            override fun reading(reading: Reading) = error("a score without a model")

            override fun best(frame: BestFrame) = error("a best frame without a model")
        }
        ScoringLoop({ error("nothing to decode") }, { error("nothing to run") }, listener).use { loop ->
            loop.use { throw FileNotFoundException("nothing\nis there") }
            loop.executor.execute { loop.frame(frame(Layout.RGBA_8888, 8, 8, 0, mirror = false)) }
            loop.use { ByteArray(0) }
        }
        val told = List(4) { assertNotNull(states.poll(10, TimeUnit.SECONDS)) }
        assertEquals(ModelState.Loading, told[0])
        assertEquals("the model's file cannot be read: nothing is there", assertIs<ModelState.Refused>(told[1]).why)
        assertContains(assertIs<ModelState.Refused>(told[3]).why, "not a .tflite")
    }
}
