package io.github.edgenima.core

import kotlin.random.Random
import kotlin.test.Test
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue

class PicturesTest {
    @Test
    fun `every picture decodes to the upright pixels of the command line`() {
        val vectors = Vectors.orSkip()
        for (kind in listOf("png", "jpeg")) {
            val all = Agreement()
            for (told in vectors.pictures.filter { it["format"].asString == kind }) {
                val wanted = vectors.upright(told)
                val given = readPicture(vectors.bytes(told["file"]), ImageIoDecoder)
                val name = told["name"].asString
                assertEquals(wanted.width to wanted.height, given.width to given.height, name)
                val one = Agreement().apply { add(given.rgb, wanted.rgb) }
                assertTrue(one.largest <= vectors.largestLevel, "$name: $one")
                assertTrue(one.share >= vectors.smallestShare, "$name: $one")
                all.add(given.rgb, wanted.rgb)
            }
            if (kind == "png") assertEquals(0, all.largest, "a PNG is lossless")
            println("pictures, $kind, decoded by the JVM: $all")
        }
    }

    @Test
    fun `the orientation is read from every file`() {
        val vectors = Vectors.orSkip()
        for (told in vectors.pictures) {
            assertEquals(told["orientation"].asInt, exifOrientation(vectors.bytes(told["file"])), told["name"].asString)
        }
    }

    @Test
    fun `every filter and fit gives the bytes of Pillow`() {
        val vectors = Vectors.orSkip()
        val agreements = sortedMapOf<String, Agreement>()
        val counts = sortedMapOf<String, Int>()
        for (told in vectors.pictures) {
            for (key in told["inputs"].asJsonObject.keySet()) {
                val given = toInput(vectors.upright(told), vectors.hows.getValue(key))
                agreements.getOrPut(key) { Agreement() }.add(given, vectors.input(told, key))
                counts.merge(key, 1, Int::plus)
            }
        }
        assertTrue(agreements.size >= 20)
        for ((key, agreement) in agreements) {
            println("inputs, $key, ${counts[key]} pictures: $agreement")
        }
        for ((key, agreement) in agreements) assertEquals(0, agreement.largest, key)
    }

    @Test
    fun `each of the eight orientations is what EXIF says`() {
        // 3 2 1 over 6 5 4, and so on: where the stored picture's first pixel goes, and its second.
        val stored = Picture(ByteArray(18) { (it / 3 + 1).toByte() }, 3, 2)
        val upright = mapOf(
            1 to "123/456", 2 to "321/654", 3 to "654/321", 4 to "456/123",
            5 to "14/25/36", 6 to "41/52/63", 7 to "63/52/41", 8 to "36/25/14",
        )
        for ((orientation, wanted) in upright) {
            val given = stored.oriented(orientation)
            val rows = given.rgb.asIterable().chunked(3) { it[0] }.chunked(given.width) { it.joinToString("") }
            assertEquals(wanted, rows.joinToString("/"), "orientation $orientation")
        }
    }

    @Test
    fun `a damaged EXIF block says nothing of the orientation`() {
        val start = byteArrayOf(-1, -40, -1, -31, 0, 40)
        val jpeg = start + "Exif\u0000\u0000II*\u0000".toByteArray() + byteArrayOf(-1, -1, -1, 127)
        for (length in 0..jpeg.size) assertEquals(1, exifOrientation(jpeg.copyOf(length)))
        val png = "\u0089PNG\r\n\u001a\n".toByteArray(Charsets.ISO_8859_1) + ByteArray(40) { 127 }
        assertEquals(1, exifOrientation(png))
    }

    @Test
    fun `alpha lets white through`() {
        fun shown(vararg rgba: Int): List<Int> {
            val decoder = PictureDecoder { Decoded(ByteArray(4) { rgba[it].toByte() }, 1, 1) }
            return readPicture(ByteArray(0), decoder).rgb.map { it.toInt() and 255 }
        }
        assertEquals(listOf(10, 20, 30), shown(10, 20, 30, 255))
        assertEquals(listOf(255, 255, 255), shown(10, 20, 30, 0))
        assertEquals(listOf(128, 255, 127), shown(1, 255, 0, 128))
    }

    @Test
    fun `one colour stays that colour by every filter`() {
        val grey = Picture(ByteArray(53 * 37 * 3) { 77 }, 53, 37)
        for (filter in Filter.entries) {
            for (fit in Fit.entries) {
                val how = preprocessing(filter, fit)
                assertContentEquals(ByteArray(how.size) { 77 }, toInput(grey, how), "$filter $fit")
            }
        }
    }

    @Test
    fun `a picture of the model's size is not changed`() {
        val picture = Picture(ByteArray(40 * 30 * 3) { (it * 37).toByte() }, 40, 30)
        for (filter in Filter.entries) {
            assertContentEquals(picture.rgb, toInput(picture, preprocessing(filter, Fit.STRETCH)), "$filter")
        }
    }

    @Test
    fun `the longest edge is reduced to exactly that, the other rounded half to even`() {
        val how = preprocessing(Filter.NEAREST, Fit.STRETCH).copy(longestEdge = 640)
        val sizes = mapOf(
            (640 to 480) to (640 to 480), (1280 to 720) to (640 to 360), (720 to 1280) to (360 to 640),
            (641 to 480) to (640 to 479), (1601 to 2) to (640 to 1), (1 to 9999) to (1 to 640),
            (1280 to 5) to (640 to 2), (1280 to 7) to (640 to 4), (60000 to 60000) to (640 to 640),
        )
        for ((given, wanted) in sizes) assertEquals(wanted, how.reducedSize(given.first, given.second), "$given")
        assertEquals(1280 to 720, how.copy(longestEdge = null).reducedSize(1280, 720))
    }

    @Test
    fun `what is computed of the reduced picture is what the whole of it has`() {
        val random = Random(640)
        repeat(400) {
            val width = random.nextInt(1, if (it % 5 == 0) 9 else 300)
            val height = random.nextInt(1, if (it % 7 == 0) 900 else 300)
            val how = Preprocessing(
                random.nextInt(1, 60), random.nextInt(1, 60), Fit.entries.random(random),
                Filter.entries.random(random), false, ChannelOrder.entries.random(random), listOf(1.0), listOf(0.0), Scaling.GRAPH,
                random.nextInt(1, 200), (Filter.entries - Filter.NEAREST).random(random),
            )
            val picture = Picture(random.nextBytes(width * height * 3), width, height)
            assertContentEquals(toInput(reduced(picture, how), how), toInput(picture, how), "${width}x$height, $how")
        }
    }

    private fun reduced(picture: Picture, how: Preprocessing): Picture {
        val (width, height) = how.reducedSize(picture.width, picture.height)
        val step = how.copy(
            width = width, height = height, fit = Fit.STRETCH, filter = how.longestEdgeFilter,
            channelOrder = ChannelOrder.RGB, longestEdge = null,
        )
        return Picture(toInput(picture, step), width, height)
    }

    @Test
    fun `pixels that do not fill the picture are refused`() {
        val message = assertFailsWith<PictureRejected> { Picture(ByteArray(10), 2, 2) }.message
        assertEquals("2x2 pixels of 3 bytes are not 10 bytes", message)
    }

    private fun preprocessing(filter: Filter, fit: Fit) = Preprocessing(
        40, 30, fit, filter, filter != Filter.NEAREST, ChannelOrder.RGB, listOf(1.0), listOf(0.0), Scaling.GRAPH,
    )
}
