package io.github.edgenima.app

import io.github.edgenima.core.ModelRejected
import java.nio.ByteBuffer
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertNull

class LogicTest {
    private val proven = ModelState.Proven("small@01234567", "8x8", null, emptyList())
    private val live = ScreenState(proven, Permission.GRANTED)

    @Test
    fun `a refused model is told before anything else`() {
        val refused = ModelState.Refused("no card", emptyList(), before = false)
        val message = ScreenState(refused, Permission.NOT_YET, cameraProblem = "no camera").message
        assertEquals(Message(R.string.model_refused, "no card", action = R.string.bundled_model), message)
    }

    @Test
    fun `scores are shown of a proven model, and an open camera or a photograph`() {
        assertNull(live.message)
        assertEquals(R.string.loading, live.copy(model = ModelState.Loading).message?.title)
        assertEquals("in use", live.copy(cameraProblem = "in use").message?.why)
        val asked = live.copy(permission = Permission.NOT_YET)
        assertEquals(R.string.allow, asked.message?.action)
        assertEquals(R.string.settings, live.copy(permission = Permission.REFUSED_FOR_GOOD).message?.action)
        assertEquals(R.string.reading_photograph, asked.copy(photograph = Photograph()).message?.title)
        assertEquals("cut", asked.copy(photograph = Photograph(refused = "cut")).message?.why)
    }

    @Test
    fun `the camera is closed while there is a photograph, a problem or no permission`() {
        assertEquals(Facing.FRONT, live.copy(facing = Facing.FRONT).camera)
        assertNull(live.copy(photograph = Photograph()).camera)
        assertNull(live.copy(cameraProblem = "in use").camera)
        assertNull(live.copy(permission = Permission.NOT_YET).camera)
    }

    @Test
    fun `a graph that is cut or points anywhere is refused`() {
        for (bytes in listOf(0, 4, 100).map(::ByteArray) + ByteArray(100) { -1 } + ByteArray(100) { 127 }) {
            assertFailsWith<ModelRejected> { Graph(ByteBuffer.wrap(bytes)) }
        }
    }
}
