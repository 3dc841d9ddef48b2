package io.github.edgenima.app

import android.annotation.TargetApi
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.graphics.ColorSpace
import android.os.Build
import io.github.edgenima.core.Decoded
import io.github.edgenima.core.Picture
import io.github.edgenima.core.PictureDecoder
import io.github.edgenima.core.PictureRejected

/** Android's decoder, told to leave the samples as they are stored. */
object BitmapDecoder : PictureDecoder {
    /** Bytes of the app's memory that a pixel takes while it is decoded, laid over white and turned. */
    private const val BYTES_A_PIXEL = 10L

    override fun decode(file: ByteArray): Decoded {
        val options = BitmapFactory.Options().apply { inJustDecodeBounds = true }
        BitmapFactory.decodeByteArray(file, 0, file.size, options)
        val needed = options.outWidth * BYTES_A_PIXEL * options.outHeight + file.size
        if (needed > Runtime.getRuntime().maxMemory()) {
            throw PictureRejected("${options.outWidth}x${options.outHeight} is more than this phone gives an app")
        }
        options.apply {
            inJustDecodeBounds = false
            // Colours multiplied by alpha cannot be had back to the level; and no density scales a photograph.
            inPremultiplied = false
            inScaled = false
            inPreferredConfig = Bitmap.Config.ARGB_8888
        }
        val bitmap = BitmapFactory.decodeByteArray(file, 0, file.size, options)
            ?: throw PictureRejected("not a picture that this phone reads, or a damaged one")
        try {
            return samples(bitmap)
        } finally {
            bitmap.recycle()
        }
    }

    private fun samples(bitmap: Bitmap): Decoded {
        if (bitmap.config != Bitmap.Config.ARGB_8888) {
            throw PictureRejected("a picture of ${bitmap.config}; possible: 8 bits a sample")
        }
        keepColours(bitmap)
        val row = IntArray(bitmap.width)
        val rgba = ByteArray(bitmap.width * bitmap.height * 4)
        var at = 0
        for (y in 0 until bitmap.height) {
            bitmap.getPixels(row, 0, bitmap.width, 0, y, bitmap.width, 1)
            for (colour in row) {
                rgba[at++] = (colour shr 16).toByte()
                rgba[at++] = (colour shr 8).toByte()
                rgba[at++] = colour.toByte()
                rgba[at++] = (colour ushr 24).toByte()
            }
        }
        return Decoded(rgba, bitmap.width, bitmap.height)
    }

    /** `getPixels` converts what is labelled as another colour space; the model was trained without that. */
    private fun keepColours(bitmap: Bitmap) {
        val plain = ColorSpace.get(ColorSpace.Named.SRGB)
        if (bitmap.colorSpace == plain) return
        if (Build.VERSION.SDK_INT < Build.VERSION_CODES.Q) {
            throw PictureRejected("a picture with a colour profile, which Android applies before version 10")
        }
        relabel(bitmap, plain)
    }

    @TargetApi(Build.VERSION_CODES.Q)
    private fun relabel(bitmap: Bitmap, colours: ColorSpace) = bitmap.setColorSpace(colours)
}

/** To be seen or kept; where the longest edge is above [largest], each second pixel of it, or third, and so on. */
fun Picture.bitmap(largest: Int = Int.MAX_VALUE): Bitmap {
    val step = (maxOf(width, height) - 1) / largest + 1
    val columns = (width + step - 1) / step
    val rows = (height + step - 1) / step
    val colours = IntArray(columns * rows) {
        val at = (it / columns * width + it % columns) * step * 3
        -0x1000000 or (rgb[at].toInt() and 255 shl 16) or (rgb[at + 1].toInt() and 255 shl 8) or
            (rgb[at + 2].toInt() and 255)
    }
    return Bitmap.createBitmap(colours, columns, rows, Bitmap.Config.ARGB_8888)
}
