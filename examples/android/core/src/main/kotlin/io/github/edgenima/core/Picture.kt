package io.github.edgenima.core

import java.security.MessageDigest

/**
 * A decoded picture.
 *
 * @property rgb `height * width * 3` bytes, row by row, red first.
 * @throws PictureRejected sides and bytes do not fit together.
 */
public class Picture(public val rgb: ByteArray, public val width: Int, public val height: Int) {
    init {
        if (width < 1 || height < 1 || rgb.size.toLong() != width.toLong() * height * 3) {
            throw PictureRejected("${width}x$height pixels of 3 bytes are not ${rgb.size} bytes")
        }
    }

    /** As [pixelsSha256]. */
    public fun sha256(): String = pixelsSha256(rgb, height, width)

    /** The picture as an EXIF orientation, 1..8, wants it to be seen. */
    public fun oriented(orientation: Int): Picture {
        val turn = Turn.ofExif(orientation)
        val columns = IntArray(turn.width(width, height)) { turn.column(it, turn.width(width, height)) }
        val rows = IntArray(turn.height(width, height)) { turn.row(it, turn.height(width, height)) }
        val across = if (turn.swaps) width else 1
        val down = if (turn.swaps) 1 else width
        val out = ByteArray(rgb.size)
        var to = 0
        for (row in rows) {
            for (column in columns) {
                val from = (column * across + row * down) * 3
                out[to++] = rgb[from]
                out[to++] = rgb[from + 1]
                out[to++] = rgb[from + 2]
            }
        }
        return Picture(out, columns.size, rows.size)
    }
}

/** SHA-256 of shape and samples: "height,width,3:" in ASCII, then the bytes. Lower-case hexadecimal. */
public fun pixelsSha256(pixels: ByteArray, height: Int, width: Int): String {
    val digest = MessageDigest.getInstance("SHA-256")
    digest.update("$height,$width,3:".toByteArray())
    return hex(digest.digest(pixels))
}

/** Bytes as lower-case hexadecimal. */
internal fun hex(bytes: ByteArray): String =
    bytes.joinToString("") { (it.toInt() and 0xff or 0x100).toString(16).drop(1) }

/**
 * What a decoder makes of an encoded picture: the samples as they are stored in the file, not premultiplied by alpha,
 * not turned by EXIF, no colour profile applied.
 *
 * @property rgba `height * width * 4` bytes, row by row: red, green, blue, alpha.
 */
public class Decoded(public val rgba: ByteArray, public val width: Int, public val height: Int)

/** The platform's decoder of PNG and JPEG files. */
public fun interface PictureDecoder {
    /**
     * Decode a file.
     *
     * @throws PictureRejected it is no picture, or a damaged one.
     */
    public fun decode(file: ByteArray): Decoded
}

/**
 * A photograph's file as upright RGB: alpha over white, the EXIF orientation applied.
 *
 * @throws PictureRejected as [PictureDecoder.decode].
 */
public fun readPicture(file: ByteArray, decoder: PictureDecoder): Picture {
    val decoded = decoder.decode(file)
    return Picture(overWhite(decoded.rgba), decoded.width, decoded.height).oriented(exifOrientation(file))
}

/** RGBA over white, rounded as Pillow's alpha_composite rounds it. */
private fun overWhite(rgba: ByteArray): ByteArray {
    val rgb = ByteArray(rgba.size / 4 * 3)
    var to = 0
    for (from in rgba.indices step 4) {
        val alpha = rgba[from + 3].toInt() and 0xff
        for (channel in 0 until 3) {
            val level = rgba[from + channel].toInt() and 0xff
            // Seven further bits; then divided by 255, rounded.
            val mixed = (level * alpha + 255 * (255 - alpha) shl 7) + (0x80 shl 7)
            rgb[to++] = ((mixed shr 8) + mixed shr 8 shr 7).toByte()
        }
    }
    return rgb
}
