package io.github.edgenima.core

import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertNull
import kotlin.test.assertTrue

class BestOfWindowTest {
    private val dropped = mutableListOf<String>()
    private val best = BestOfWindow<String>(10.0, dropped::add)

    @Test
    fun `the best of a window is kept, and all others are released`() {
        best.offer("a", 5.0, 0.0)
        best.offer("b", 6.0, 1.0)
        best.offer("c", 5.5, 2.0)
        assertEquals(listOf("a", "c"), dropped)
        assertEquals("b", best.flush())
        assertEquals(listOf("a", "c"), dropped)
        assertNull(best.flush())
    }

    @Test
    fun `of equals the earlier stays`() {
        best.offer("a", 5.0, 0.0)
        assertFalse(best.wouldKeep(5.0))
        best.offer("b", 5.0, 1.0)
        assertEquals("a", best.flush())
        assertEquals(listOf("b"), dropped)
    }

    @Test
    fun `a window begins with its first item and is over after its time`() {
        assertFalse(best.due(100.0))
        best.offer("a", 5.0, 100.0)
        best.offer("b", 6.0, 105.0)
        assertFalse(best.due(109.999))
        assertTrue(best.due(110.0))
        best.flush()
        assertFalse(best.due(110.0))
        best.offer("c", 1.0, 110.0)
        assertFalse(best.due(119.0))
        assertTrue(best.due(120.0))
    }

    @Test
    fun `a clock that goes back ends the window`() {
        best.offer("a", 5.0, 100.0)
        assertTrue(best.due(99.0))
    }

    @Test
    fun `what has no score is not kept`() {
        assertFalse(best.wouldKeep(Double.NaN))
        best.offer("a", Double.NaN, 0.0)
        assertEquals(listOf("a"), dropped)
        assertNull(best.flush())
    }

    @Test
    fun `a window of no time is refused`() {
        val message = assertFailsWith<IllegalArgumentException> { BestOfWindow<String>(0.0) { } }.message
        assertEquals("a window is 0.0 seconds long; possible: more than 0", message)
    }
}
