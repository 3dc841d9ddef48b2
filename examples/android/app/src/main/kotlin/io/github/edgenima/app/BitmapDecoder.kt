package io.github.edgenima.app

import android.annotation.TargetApi
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.graphics.ColorSpace
import android.os.Build
import io.github.edgenima.core.Decoded
import io.github.edgenima.core.PictureDecoder
import io.github.edgenima.core.PictureRejected

/** Android's decoder, told to leave the samples as they are stored. */
object BitmapDecoder : PictureDecoder {
    override fun decode(file: ByteArray): Decoded {
        val options = BitmapFactory.Options().apply {
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
        val colours = IntArray(bitmap.width * bitmap.height)
        bitmap.getPixels(colours, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)
        val rgba = ByteArray(colours.size * 4)
        for (i in colours.indices) {
            rgba[4 * i] = (colours[i] shr 16).toByte()
            rgba[4 * i + 1] = (colours[i] shr 8).toByte()
            rgba[4 * i + 2] = colours[i].toByte()
            rgba[4 * i + 3] = (colours[i] ushr 24).toByte()
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
