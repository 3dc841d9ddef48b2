package io.github.edgenima.core

/**
 * Brings upright RGB pictures of one size to the model's input, as its card says, to the byte as Pillow does.
 *
 * Tables and buffers are made once; a camera's pictures are all of one size.
 */
public class Resizer(private val width: Int, private val height: Int, private val how: Preprocessing) {
    private val pass: Pass = if (how.filter == Filter.NEAREST) picking() else filtering()

    /**
     * @param rgb `height * width * 3` bytes, red first.
     * @param out receives `how.size` bytes, 0..255 and unscaled, in `how.channelOrder`.
     */
    public fun resize(rgb: ByteArray, out: ByteArray) {
        if (rgb.size != width * height * 3 || out.size != how.size) {
            throw PictureRejected("${rgb.size} bytes to ${out.size}; possible: ${width * height * 3} to ${how.size}")
        }
        pass.run(rgb, out)
    }

    private fun picking(): Pass {
        val (across, down) = Span.of(width, height, how)
        return Pick(across.centres(how.width), down.centres(how.height), width, how.channelOrder)
    }

    /**
     * Two passes, rounded to bytes between them: where a side stays as it is the weights are exactly 1.
     *
     * Across first, but down first when the height shrinks by more than twice the pixels that the width does. So Pillow
     * does from version 13 on (its pull request 9549), and the order shows in the last bit or two.
     */
    private fun filtering(): Pass {
        val (horizontal, vertical) = Span.of(width, height, how)
        val across = Coefficients.of(how.filter, horizontal, width, how.width)
        val down = Coefficients.of(how.filter, vertical, height, how.height)
        if (height > how.height && height - how.height > 2 * (width - how.width)) {
            val between = ByteArray(how.height * width * 3)
            val shorten = Shorten(down, width * 3, 0)
            val narrow = Narrow(across, width, 0, how.height, how.channelOrder)
            return Pass { rgb, out ->
                shorten.run(rgb, between)
                narrow.run(between, out)
            }
        }
        val top = down.first[0]
        val rows = down.first.last() + down.count.last() - top
        val between = ByteArray(rows * how.width * 3)
        val narrow = Narrow(across, width, top, rows, how.channelOrder)
        val shorten = Shorten(down, how.width * 3, top)
        return Pass { rgb, out ->
            narrow.run(rgb, between)
            shorten.run(between, out)
        }
    }
}

/**
 * Bring an upright picture to the model's size, as its card says.
 *
 * @return `how.size` bytes, 0..255 and unscaled, in `how.channelOrder`.
 */
public fun toInput(picture: Picture, how: Preprocessing, out: ByteArray = ByteArray(how.size)): ByteArray {
    Resizer(picture.width, picture.height, how).resize(picture.rgb, out)
    return out
}
