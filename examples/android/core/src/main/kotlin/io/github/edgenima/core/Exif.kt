package io.github.edgenima.core

/**
 * The EXIF orientation of a JPEG or PNG file, 1..8; 1 when it says none or its EXIF block is damaged: the pixels are
 * still good.
 */
public fun exifOrientation(file: ByteArray): Int {
    val bytes = Bytes(file)
    return try {
        when {
            bytes.byte(0) == 0xff && bytes.byte(1) == 0xd8 -> ofJpeg(bytes)
            bytes.text(1, 3) == "PNG" -> ofPng(bytes)
            else -> 1
        }
    } catch (_: IndexOutOfBoundsException) {
        1
    }
}

private const val ORIENTATION = 0x0112L
private const val SHORT = 3L

private fun ofJpeg(file: Bytes): Int {
    var at = 2L
    while (file.byte(at) == 0xff) {
        val marker = file.byte(at + 1)
        if (marker == 0xda) return 1
        if (marker == 0xff) {
            at++
            continue
        }
        if (marker == 0xe1 && file.text(at + 4, 6) == "Exif\u0000\u0000") return ofTiff(file, at + 10)
        at += 2 + file.big(at + 2, 2)
    }
    return 1
}

private fun ofPng(file: Bytes): Int {
    var at = 8L
    while (true) {
        val length = file.big(at, 4)
        when (file.text(at + 4, 4)) {
            "eXIf" -> return ofTiff(file, at + 8)
            "IEND" -> return 1
        }
        at += length + 12
    }
}

private fun ofTiff(file: Bytes, start: Long): Int {
    val number: (Long, Int) -> Long = when (file.text(start, 2)) {
        "II" -> file::little
        "MM" -> file::big
        else -> return 1
    }
    val directory = start + number(start + 4, 4)
    for (entry in 0 until number(directory, 2)) {
        val at = directory + 2 + entry * 12
        if (number(at, 2) == ORIENTATION && number(at + 2, 2) == SHORT) {
            return number(at + 8, 2).takeIf { it in 1..8 }?.toInt() ?: 1
        }
    }
    return 1
}

/** Numbers out of a file; IndexOutOfBoundsException beyond its end. */
private class Bytes(private val file: ByteArray) {
    fun byte(at: Long): Int {
        if (at < 0 || at >= file.size) throw IndexOutOfBoundsException()
        return file[at.toInt()].toInt() and 0xff
    }

    fun big(at: Long, length: Int): Long =
        (0 until length).fold(0L) { value, i -> value shl 8 or byte(at + i).toLong() }

    fun little(at: Long, length: Int): Long =
        (length - 1 downTo 0).fold(0L) { value, i -> value shl 8 or byte(at + i).toLong() }

    fun text(at: Long, length: Int): String = String(CharArray(length) { byte(at + it).toChar() })
}
