package io.github.edgenima.core

import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * The EXIF orientation of a JPEG or PNG file, 1..8; 1 when it says none or its EXIF block is damaged: the pixels are
 * still good.
 */
public fun exifOrientation(file: ByteArray): Int {
    val bytes = ByteBuffer.wrap(file)
    return try {
        when {
            bytes.getShort(0).toInt() and 0xffff == 0xffd8 -> ofJpeg(bytes)
            bytes.getInt(0) == 0x89504e47.toInt() -> ofPng(bytes)
            else -> 1
        }
    } catch (_: IndexOutOfBoundsException) {
        1
    }
}

private const val ORIENTATION = 0x0112
private const val SHORT = 3
private const val EXIF = 0x45786966
private const val PNG_EXIF = 0x65584966
private const val PNG_END = 0x49454e44

private fun ofJpeg(file: ByteBuffer): Int {
    var at = 2
    while (file.get(at).toInt() and 0xff == 0xff) {
        val marker = file.get(at + 1).toInt() and 0xff
        if (marker == 0xda) return 1
        if (marker == 0xff) {
            at++
            continue
        }
        val isExif = marker == 0xe1 && file.getInt(at + 4) == EXIF && file.getShort(at + 8).toInt() == 0
        if (isExif) return ofTiff(file, at + 10)
        at += 2 + (file.getShort(at + 2).toInt() and 0xffff)
    }
    return 1
}

private fun ofPng(file: ByteBuffer): Int {
    var at = 8
    while (true) {
        val length = file.getInt(at)
        if (file.getInt(at + 4) == PNG_EXIF) return ofTiff(file, at + 8)
        if (file.getInt(at + 4) == PNG_END || length < 0) return 1
        at += length + 12
    }
}

private fun ofTiff(file: ByteBuffer, start: Int): Int {
    when (file.getShort(start).toInt()) {
        0x4949 -> file.order(ByteOrder.LITTLE_ENDIAN)
        0x4d4d -> file.order(ByteOrder.BIG_ENDIAN)
        else -> return 1
    }
    val directory = start + file.getInt(start + 4)
    for (entry in 0 until (file.getShort(directory).toInt() and 0xffff)) {
        val at = directory + 2 + entry * 12
        if (file.getShort(at).toInt() == ORIENTATION && file.getShort(at + 2).toInt() == SHORT) {
            return file.getShort(at + 8).toInt().takeIf { it in 1..8 } ?: 1
        }
    }
    return 1
}
