package io.github.edgenima.core

import java.util.zip.CRC32
import java.util.zip.DataFormatException
import java.util.zip.Inflater

/** There is no archive, or it is not whole. */
internal class ArchiveDamaged : Exception()

/**
 * A file out of the zip archive appended to a .tflite.
 *
 * Read from the end, as an archive is: java.util.zip's streams begin at the first byte, and that one is a flatbuffer's.
 *
 * @param content the whole file.
 * @param name of the file in the archive.
 * @param largest bytes it may unpack to.
 * @return its bytes; null when there is no such file in the archive.
 * @throws ArchiveDamaged there is no archive, or it is cut, changed, encrypted, or packed in a way not read here.
 * @throws ModelRejected it unpacks to more than `largest`.
 */
internal fun fileAtEnd(content: ByteArray, name: String, largest: Int): ByteArray? {
    val end = endOfDirectory(content) ?: throw ArchiveDamaged()
    val bytes = Reader(content)
    val entries = bytes.short(end + 10)
    val directorySize = bytes.int(end + 12)
    // Offsets count from the archive's first byte, or from the file's, as its writer pleased.
    val directory = end - directorySize
    val before = directory - bytes.int(end + 16)
    if (directory < 0 || before < 0) throw ArchiveDamaged()
    var at = directory
    var found: Entry? = null
    repeat(entries) {
        if (bytes.int(at) != DIRECTORY_ENTRY) throw ArchiveDamaged()
        val nameLength = bytes.short(at + 28)
        if (bytes.text(at + 46, nameLength) == name) found = Entry(bytes, at, before)
        at += 46L + nameLength + bytes.short(at + 30) + bytes.short(at + 32)
    }
    return found?.unpack(largest)
}

private const val END_OF_DIRECTORY = 0x06054b50L
private const val DIRECTORY_ENTRY = 0x02014b50L
private const val LOCAL_HEADER = 0x04034b50L
private const val END_SIZE = 22

private fun endOfDirectory(content: ByteArray): Long? {
    val bytes = Reader(content)
    val last = content.size.toLong() - END_SIZE
    // A comment of at most 65535 bytes may follow it.
    for (at in last downTo maxOf(0, last - 0xffff)) {
        if (bytes.int(at) == END_OF_DIRECTORY) return at
    }
    return null
}

/** Little-endian numbers, never beyond the end. */
private class Reader(val content: ByteArray) {
    fun slice(at: Long, length: Long): ByteArray {
        if (at < 0 || length < 0 || at + length > content.size) throw ArchiveDamaged()
        return content.copyOfRange(at.toInt(), (at + length).toInt())
    }

    fun byte(at: Long): Int {
        if (at < 0 || at >= content.size) throw ArchiveDamaged()
        return content[at.toInt()].toInt() and 0xff
    }

    fun short(at: Long): Int = byte(at) or (byte(at + 1) shl 8)

    fun int(at: Long): Long = short(at).toLong() or (short(at + 2).toLong() shl 16)

    fun text(at: Long, length: Int): String = slice(at, length.toLong()).toString(Charsets.UTF_8)
}

private class Entry(private val bytes: Reader, at: Long, before: Long) {
    private val encrypted = bytes.short(at + 8) and 1 != 0
    private val method = bytes.short(at + 10)
    private val crc = bytes.int(at + 16)
    private val packedSize = bytes.int(at + 20)
    private val size = bytes.int(at + 24)
    private val header = before + bytes.int(at + 42)

    fun unpack(largest: Int): ByteArray {
        if (size > largest) {
            throw ModelRejected(
                "the files inside the .tflite unpack to more than ${largest shr 20} MiB: damaged or hostile",
            )
        }
        if (encrypted || bytes.int(header) != LOCAL_HEADER) throw ArchiveDamaged()
        val start = header + 30 + bytes.short(header + 26) + bytes.short(header + 28)
        val packed = bytes.slice(start, packedSize)
        val content = when (method) {
            0 -> packed
            8 -> inflated(packed)
            else -> throw ArchiveDamaged()
        }
        if (content.size.toLong() != size || CRC32().apply { update(content) }.value != crc) throw ArchiveDamaged()
        return content
    }

    private fun inflated(packed: ByteArray): ByteArray {
        val inflater = Inflater(true)
        try {
            inflater.setInput(packed)
            val content = ByteArray(size.toInt())
            var at = 0
            while (at < content.size) {
                val count = inflater.inflate(content, at, content.size - at)
                if (count == 0) throw ArchiveDamaged()
                at += count
            }
            return content
        } catch (error: DataFormatException) {
            throw ArchiveDamaged().apply { initCause(error) }
        } finally {
            inflater.end()
        }
    }
}
