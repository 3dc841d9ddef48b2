package io.github.edgenima.core

import java.awt.image.BufferedImage
import java.awt.image.IndexColorModel
import java.io.ByteArrayInputStream
import java.io.IOException
import javax.imageio.ImageIO

/** The JVM's decoder. Samples are taken as they are stored: its own conversion of grey changes them. */
object ImageIoDecoder : PictureDecoder {
    override fun decode(file: ByteArray): Decoded {
        val image = try {
            ImageIO.read(ByteArrayInputStream(file)) ?: throw PictureRejected("not a picture that the JVM reads")
        } catch (error: IOException) {
            throw PictureRejected("damaged: ${reason(error)}", error)
        }
        val rgba = ByteArray(image.width * image.height * 4)
        for (y in 0 until image.height) {
            for (x in 0 until image.width) {
                pixel(image, x, y).forEachIndexed { i, level -> rgba[(y * image.width + x) * 4 + i] = level.toByte() }
            }
        }
        return Decoded(rgba, image.width, image.height)
    }

    private fun pixel(image: BufferedImage, x: Int, y: Int): IntArray {
        val colours = image.colorModel
        if (colours is IndexColorModel) {
            val argb = colours.getRGB(image.raster.getSample(x, y, 0))
            return intArrayOf(argb shr 16 and 255, argb shr 8 and 255, argb and 255, argb ushr 24)
        }
        val samples = image.raster.getPixel(x, y, null as IntArray?)
        return when (samples.size) {
            1 -> intArrayOf(samples[0], samples[0], samples[0], 255)
            2 -> intArrayOf(samples[0], samples[0], samples[0], samples[1])
            3 -> samples + 255
            else -> samples
        }
    }
}
