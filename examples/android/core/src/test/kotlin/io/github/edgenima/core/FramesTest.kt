package io.github.edgenima.core

import com.google.gson.JsonObject
import com.sun.management.ThreadMXBean
import java.lang.management.ManagementFactory
import java.nio.ByteBuffer
import kotlin.test.Test
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue

class FramesTest {
    @Test
    fun `every camera buffer gives the upright pixels and the input of the command line`() {
        val vectors = Vectors.orSkip()
        val coverage = sortedMapOf<String, Agreement>()
        val counts = sortedMapOf<String, Int>()
        val inputs = sortedMapOf<String, Int>()
        for (told in vectors.buffers) {
            val buffer = vectors.buffer(told)
            val upright = FrameReader(vectors.hows.getValue("card")).upright(buffer)
            val wanted = vectors.upright(told)
            assertEquals(wanted.width to wanted.height, upright.width to upright.height, told["name"].asString)
            val kind = kind(told, buffer)
            counts.merge(kind, 1, Int::plus)
            val agreement = coverage.getOrPut(kind) { Agreement() }
            agreement.add(upright.rgb, wanted.rgb)
            for (key in told["inputs"].asJsonObject.keySet()) {
                val how = vectors.hows.getValue(key)
                agreement.add(ByteArray(how.size).also { FrameReader(how).read(buffer, it) }, vectors.input(told, key))
                inputs.merge(key, 1, Int::plus)
            }
        }
        println("camera buffers: ${vectors.buffers.size}; inputs of them: $inputs")
        assertTrue(inputs.keys.count { it.startsWith("edge-") } >= 5, "longest edges: $inputs")
        for ((key, agreement) in coverage) println("  $key  ${counts[key]} buffers, $agreement")
        for ((key, agreement) in coverage) assertEquals(0, agreement.largest, key)
        for (rotation in Turn.ROTATIONS) {
            for (mirror in listOf("mirror", "plain ")) {
                for (strides in listOf("rows padded", "rows tight ")) {
                    val kinds = counts.keys.count { "%3d".format(rotation) in it && mirror in it && strides in it }
                    assertEquals(3, kinds, "RGBA, YUV planar and interleaved: $rotation $mirror $strides")
                }
            }
        }
    }

    private fun kind(told: JsonObject, buffer: CameraBuffer): String {
        val plane = buffer.planes[0]
        val padded = plane.rowStride > buffer.width * plane.pixelStride
        return "%-9s chroma/pixel stride %d, %3d degrees, %s, %s".format(
            buffer.layout,
            buffer.planes.last().pixelStride,
            buffer.rotation,
            if (told["mirror"].asBoolean) "mirror" else "plain ",
            if (padded) "rows padded" else "rows tight ",
        )
    }

    @Test
    fun `every filter reads a frame as it reads the upright picture`() {
        val buffer = frame(Layout.YUV_420_888, 161, 91, 270, mirror = true)
        for (filter in Filter.entries) {
            for (order in ChannelOrder.entries) {
                val how = preprocessing(filter, order)
                val reader = FrameReader(how)
                val wanted = toInput(reader.upright(buffer), how)
                assertContentEquals(wanted, ByteArray(how.size).also { reader.read(buffer, it) }, "$filter $order")
            }
        }
    }

    @Test
    fun `a frame's longest edge is reduced as the upright picture's is`() {
        for ((layout, rotation) in Layout.entries.flatMap { layout -> Turn.ROTATIONS.map { layout to it } }) {
            for (mirror in listOf(false, true)) {
                val buffer = frame(layout, 161, 91, rotation, mirror)
                for (filter in listOf(Filter.NEAREST, Filter.BICUBIC)) {
                    for (edge in listOf(160, 100, 91)) {
                        val how = preprocessing(filter, ChannelOrder.BGR).copy(longestEdge = edge)
                        val reader = FrameReader(how)
                        val wanted = toInput(reader.upright(buffer), how)
                        val given = ByteArray(how.size).also { reader.read(buffer, it) }
                        assertContentEquals(wanted, given, "$layout $rotation $mirror $filter $edge")
                    }
                }
            }
        }
    }

    @Test
    fun `a camera that changes its size to above the longest edge and back is read anew`() {
        val how = preprocessing(Filter.NEAREST, ChannelOrder.RGB).copy(longestEdge = 64)
        val reader = FrameReader(how)
        for (width in listOf(64, 65, 96, 64, 96)) {
            val buffer = frame(Layout.RGBA_8888, width, 48, 90, mirror = false)
            val wanted = toInput(reader.upright(buffer), how)
            assertContentEquals(wanted, ByteArray(how.size).also { reader.read(buffer, it) }, "$width")
        }
    }

    @Test
    fun `a camera that changes its layout is read anew`() {
        val how = preprocessing(Filter.NEAREST, ChannelOrder.RGB)
        val reader = FrameReader(how)
        for (rotation in Turn.ROTATIONS) {
            for (layout in Layout.entries) {
                val buffer = frame(layout, 64 + rotation, 48, rotation, mirror = false)
                val fresh = ByteArray(how.size).also { FrameReader(how).read(buffer, it) }
                assertContentEquals(fresh, ByteArray(how.size).also { reader.read(buffer, it) }, "$layout $rotation")
            }
        }
    }

    @Test
    fun `grey chroma leaves luma as it is, in full range`() {
        val y = ByteBuffer.allocateDirect(256).apply { for (i in 0..255) put(i, i.toByte()) }
        val grey = ByteBuffer.allocateDirect(64).apply { for (i in 0..63) put(i, -128) }
        val chroma = Plane(grey, 8, 1)
        val buffer = CameraBuffer(Layout.YUV_420_888, 16, 16, listOf(Plane(y, 16, 1), chroma, chroma), 0, false)
        val picture = FrameReader(preprocessing(Filter.NEAREST, ChannelOrder.RGB)).upright(buffer)
        assertContentEquals(ByteArray(768) { (it / 3).toByte() }, picture.rgb)
    }

    @Test
    fun `the matrices are those of the command line`() {
        val matrices = Vectors.orSkip().matrices
        assertEquals(YuvMatrix.entries.toSet(), matrices.keys.map(Vectors::matrix).toSet())
        for ((name, told) in matrices) {
            val m = Vectors.matrix(name)
            val given = mapOf("y" to m.y, "y_zero" to m.yZero, "rv" to m.rv, "gu" to m.gu, "gv" to m.gv, "bu" to m.bu)
            assertEquals(told.asMap().mapValues { it.value.asInt }, given, name)
        }
    }

    @Test
    fun `planes that reach beyond their bytes are refused`() {
        val data = ByteBuffer.allocateDirect(44 * 9 + 39)
        rgba(data, 44, 0) // the last row may end without its padding, and without its last alpha
        data.limit(434)
        val wrong = assertFailsWith<PictureRejected> { rgba(data, 44, 0) }
        val told = "10x10 with a row stride of 44 and a pixel stride of 4 does not fit a buffer of 434 bytes"
        assertEquals(told, wrong.message)
        assertFailsWith<PictureRejected> { rgba(data, -40, 0) }
        assertFailsWith<PictureRejected> { rgba(data, Int.MAX_VALUE, 0) }
        val rotated = assertFailsWith<PictureRejected> { rgba(ByteBuffer.allocateDirect(400), 40, 45) }
        assertEquals("the buffer's rotation is 45; possible: 0, 90, 180, 270", rotated.message)
    }

    private fun rgba(data: ByteBuffer, rowStride: Int, rotation: Int) =
        CameraBuffer(Layout.RGBA_8888, 10, 10, listOf(Plane(data, rowStride, 4)), rotation, false)

    @Test
    fun `a frame costs no allocation`() {
        val threads = ManagementFactory.getThreadMXBean() as ThreadMXBean
        val me = Thread.currentThread().id
        for ((filter, edge) in listOf(Filter.NEAREST, Filter.BILINEAR).flatMap { listOf(it to null, it to 160) }) {
            for (layout in Layout.entries) {
                val how = preprocessing(filter, ChannelOrder.RGB).copy(longestEdge = edge)
                val reader = FrameReader(how)
                val buffer = frame(layout, 320, 240, 90, mirror = true)
                val input = ByteArray(how.size)
                repeat(20) { reader.read(buffer, input) }
                val before = threads.getThreadAllocatedBytes(me)
                repeat(FRAMES) { reader.read(buffer, input) }
                val each = (threads.getThreadAllocatedBytes(me) - before).toDouble() / FRAMES
                println("allocated by a frame, longest edge $edge, $filter, $layout: %.2f bytes".format(each))
                assertTrue(each < 16, "$edge $filter $layout: $each bytes a frame")
            }
        }
    }

    private companion object {
        const val FRAMES = 1000

        fun preprocessing(filter: Filter, order: ChannelOrder) =
            Preprocessing(56, 48, Fit.CROP, filter, filter != Filter.NEAREST, order, listOf(1.0), listOf(0.0), Scaling.GRAPH)
    }
}
