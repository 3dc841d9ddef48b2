package io.github.edgenima.core

/**
 * Brings upright RGB pictures of one size to the model's input, as its card says, to the byte as Pillow does.
 *
 * Tables and buffers are made once; a camera's pictures are all of one size.
 */
public class Resizer(private val width: Int, private val height: Int, private val how: Preprocessing) {
    private val pass: Pass = if (how.reduces(width, height)) reducing() else fitting()

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

    private fun fitting(): Pass {
        val (horizontal, vertical) = Span.of(width, height, how)
        if (how.filter == Filter.NEAREST) {
            return Pick(horizontal.centres(how.width), vertical.centres(how.height), width, how.channelOrder)
        }
        val across = Coefficients.of(how.filter, horizontal, width, how.width)
        val down = Coefficients.of(how.filter, vertical, height, how.height)
        return filtering(width, across, down, downFirst(width, height, how.width, how.height), how.channelOrder)
    }

    /**
     * To the longest edge first. Only those columns and rows of the reduced picture are computed that are used after:
     * of 640x480 to 224x224 nearest, a third of the columns and half of the rows.
     */
    private fun reducing(): Pass {
        val (reducedWidth, reducedHeight) = how.reducedSize(width, height)
        val across = Coefficients.of(how.longestEdgeFilter, Span(0f, width.toFloat()), width, reducedWidth)
        val down = Coefficients.of(how.longestEdgeFilter, Span(0f, height.toFloat()), height, reducedHeight)
        val downFirst = downFirst(width, height, reducedWidth, reducedHeight)
        val (horizontal, vertical) = Span.of(reducedWidth, reducedHeight, how)
        if (how.filter == Filter.NEAREST) {
            val columns = horizontal.centres(how.width)
            val rows = vertical.centres(how.height)
            return filtering(width, across.at(columns), down.at(rows), downFirst, how.channelOrder)
        }
        val acrossAfter = Coefficients.of(how.filter, horizontal, reducedWidth, how.width)
        val downAfter = Coefficients.of(how.filter, vertical, reducedHeight, how.height)
        val columns = acrossAfter.used()
        val rows = downAfter.used()
        val reduced = ByteArray(rows.size * columns.size * 3)
        val reduce = filtering(width, across.at(columns), down.at(rows), downFirst, ChannelOrder.RGB)
        val fit = filtering(
            columns.size,
            acrossAfter.over(columns),
            downAfter.over(rows),
            downFirst(reducedWidth, reducedHeight, how.width, how.height),
            how.channelOrder,
        )
        return Pass { rgb, out ->
            reduce.run(rgb, reduced)
            fit.run(reduced, out)
        }
    }
}

/**
 * Whether Pillow shortens the columns before the rows: when the height shrinks by more than twice the pixels that the
 * width does. So from version 13 on (its pull request 9549), and the order shows in the last bit or two.
 */
private fun downFirst(width: Int, height: Int, toWidth: Int, toHeight: Int): Boolean =
    height > toHeight && height - toHeight > 2 * (width - toWidth)

/**
 * Two passes over a picture `width` pixels wide, rounded to bytes between them: where a side stays as it is the weights
 * are exactly 1.
 */
private fun filtering(
    width: Int,
    across: Coefficients,
    down: Coefficients,
    downFirst: Boolean,
    order: ChannelOrder,
): Pass {
    val toWidth = across.first.size
    val toHeight = down.first.size
    if (downFirst) {
        val between = ByteArray(toHeight * width * 3)
        val shorten = Shorten(down, width * 3)
        val narrow = Narrow(across, width, IntArray(toHeight) { it }, order)
        return Pass { rgb, out ->
            shorten.run(rgb, between)
            narrow.run(between, out)
        }
    }
    val rows = down.used()
    val between = ByteArray(rows.size * toWidth * 3)
    val narrow = Narrow(across, width, rows, order)
    val shorten = Shorten(down.over(rows), toWidth * 3)
    return Pass { rgb, out ->
        narrow.run(rgb, between)
        shorten.run(between, out)
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
