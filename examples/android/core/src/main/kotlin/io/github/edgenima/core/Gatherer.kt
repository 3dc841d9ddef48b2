package io.github.edgenima.core

import java.nio.ByteBuffer
import kotlin.math.max
import kotlin.math.min

/**
 * Copies chosen pixels of camera buffers, upright, straight from where they lie.
 *
 * The places are kept from frame to frame, as one number a column and one a row: a camera does not change its layout
 * while it runs.
 *
 * @param how whose nearest pixels are chosen; null for all of them.
 */
internal class Gatherer(private val how: Preprocessing?) {
    private var table: Table? = null

    /** Bytes that [gather] writes of such a buffer. */
    fun size(buffer: CameraBuffer): Int = how?.size ?: (buffer.width * buffer.height * 3)

    /** Write red, green and blue of the chosen pixels to `out`, row by row; in the other order when `how` says BGR. */
    fun gather(buffer: CameraBuffer, out: ByteArray) {
        val table = table?.takeIf { it.fits(buffer) } ?: Table(buffer, how).also { table = it }
        val red = how?.channelOrder?.red ?: 0
        if (buffer.layout == Layout.RGBA_8888) {
            gatherRgba(buffer.planes[0].buffer, table, out, red)
        } else {
            gatherYuv(buffer, table, out, red)
        }
    }

    private fun gatherRgba(data: ByteBuffer, table: Table, out: ByteArray, red: Int) {
        val places = table.places[0]
        var to = 0
        for (row in places.rows) {
            for (column in places.columns) {
                val from = row + column
                out[to + red] = data.get(from)
                out[to + 1] = data.get(from + 1)
                out[to + 2 - red] = data.get(from + 2)
                to += 3
            }
        }
    }

    private fun gatherYuv(buffer: CameraBuffer, table: Table, out: ByteArray, red: Int) {
        val lumas = buffer.planes[0].buffer
        val us = buffer.planes[1].buffer
        val vs = buffer.planes[2].buffer
        val (places, uPlaces, vPlaces) = table.places
        val m = buffer.matrix
        var to = 0
        for (row in places.rows.indices) {
            val rowY = places.rows[row]
            val rowU = uPlaces.rows[row]
            val rowV = vPlaces.rows[row]
            for (column in places.columns.indices) {
                val luma = lumas.get(rowY + places.columns[column]).toInt() and 0xff
                val u = (us.get(rowU + uPlaces.columns[column]).toInt() and 0xff) - 128
                val v = (vs.get(rowV + vPlaces.columns[column]).toInt() and 0xff) - 128
                val base = m.y * (luma - m.yZero) + 32768
                out[to + red] = level(base + m.rv * v)
                out[to + 1] = level(base + m.gu * u + m.gv * v)
                out[to + 2 - red] = level(base + m.bu * u)
                to += 3
            }
        }
    }

    // min and max do not branch; a colour beyond its range would be guessed wrong.
    private fun level(steps: Int): Byte = min(max(steps shr 16, 0), 255).toByte()
}

/** Bytes from a plane's start to a column's and to a row's samples; a pixel's place is the sum. */
private class Places(val columns: IntArray, val rows: IntArray)

/** The places of chosen pixels in buffers of one layout. */
private class Table(buffer: CameraBuffer, how: Preprocessing?) {
    private val layout = buffer.layout
    private val width = buffer.width
    private val height = buffer.height
    private val turn = buffer.turn
    private val strides = buffer.planes.flatMap { listOf(it.rowStride, it.pixelStride) }.toIntArray()
    val places: List<Places>

    init {
        val uprightWidth = turn.width(width, height)
        val uprightHeight = turn.height(width, height)
        var columns = IntArray(uprightWidth) { it }
        var rows = IntArray(uprightHeight) { it }
        if (how != null) {
            val (across, down) = Span.of(uprightWidth, uprightHeight, how)
            columns = across.centres(how.width)
            rows = down.centres(how.height)
        }
        places = buffer.planes.mapIndexed { index, plane ->
            // A chroma sample serves four pixels.
            val half = if (index == 0) 0 else 1
            val across = if (turn.swaps) plane.rowStride else plane.pixelStride
            val down = if (turn.swaps) plane.pixelStride else plane.rowStride
            Places(
                columns.map { (turn.column(it, uprightWidth) shr half) * across }.toIntArray(),
                rows.map { (turn.row(it, uprightHeight) shr half) * down }.toIntArray(),
            )
        }
    }

    /** Whether `buffer` is laid out as the one that this was made of; without allocating anything. */
    fun fits(buffer: CameraBuffer): Boolean {
        if (buffer.layout != layout || buffer.width != width || buffer.height != height) return false
        if (buffer.turn !== turn) return false
        for (index in buffer.planes.indices) {
            val plane = buffer.planes[index]
            if (plane.rowStride != strides[2 * index] || plane.pixelStride != strides[2 * index + 1]) return false
        }
        return true
    }
}
