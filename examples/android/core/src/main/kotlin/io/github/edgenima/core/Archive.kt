package io.github.edgenima.core

import java.io.ByteArrayInputStream
import java.io.DataInputStream
import java.io.IOException
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.zip.ZipInputStream

/** There is no archive, or it is not whole. */
internal class ArchiveDamaged(cause: Throwable? = null) : Exception(cause)

/**
 * A file out of the zip archive appended to a .tflite.
 *
 * Found from the end, as an archive is: java.util.zip's streams begin at the first byte, which is a flatbuffer's.
 *
 * @param content the whole file.
 * @param name of the file in the archive.
 * @param largest bytes it may unpack to.
 * @return its bytes; null when there is no such file in the archive.
 * @throws ArchiveDamaged there is no archive, or it is cut, changed, encrypted, or packed in a way not read here.
 * @throws ModelRejected it unpacks to more than `largest`.
 */
internal fun fileAtEnd(content: ByteArray, name: String, largest: Int): ByteArray? {
    val bytes = ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN)
    fun short(at: Int): Int = bytes.getShort(at).toInt() and 0xffff
    // A comment of at most 65535 bytes may follow the directory.
    val last = content.size - END_SIZE
    val end = (last downTo maxOf(0, last - 0xffff)).firstOrNull { bytes.getInt(it) == END_OF_DIRECTORY }
        ?: throw ArchiveDamaged()
    try {
        var at = end - bytes.getInt(end + 12)
        // Offsets count from the archive's first byte, or from the file's, as its writer pleased.
        val before = at - bytes.getInt(end + 16)
        var found: Int? = null
        repeat(short(end + 10)) {
            if (bytes.getInt(at) != DIRECTORY_ENTRY) throw ArchiveDamaged()
            if (String(content, at + 46, short(at + 28)) == name) found = at
            at += 46 + short(at + 28) + short(at + 30) + short(at + 32)
        }
        return found?.let { unpack(content, before + bytes.getInt(it + 42), bytes.getInt(it + 24), largest) }
    } catch (error: IndexOutOfBoundsException) {
        throw ArchiveDamaged(error)
    } catch (error: IOException) {
        throw ArchiveDamaged(error)
    } catch (error: IllegalArgumentException) { // a name that is no UTF-8
        throw ArchiveDamaged(error)
    }
}

private const val END_OF_DIRECTORY = 0x06054b50
private const val DIRECTORY_ENTRY = 0x02014b50
private const val END_SIZE = 22

/** The file whose local header is at `header`. */
private fun unpack(content: ByteArray, header: Int, size: Int, largest: Int): ByteArray {
    if (size !in 0..largest) {
        throw ModelRejected("a file inside the .tflite unpacks to more than ${largest shr 20} MiB: damaged or hostile")
    }
    val zip = ZipInputStream(ByteArrayInputStream(content, header, content.size - header))
    zip.nextEntry ?: throw ArchiveDamaged()
    val unpacked = ByteArray(size)
    DataInputStream(zip).readFully(unpacked)
    if (zip.read() != -1) throw ArchiveDamaged() // the CRC is looked at where the file ends
    return unpacked
}
