package io.github.edgenima.core

/**
 * Camera buffers to the model's input, without a copy of the frame where the filter is nearest and nothing is reduced
 * before, and without allocating anything from the second frame of a size on.
 */
public class FrameReader(private val how: Preprocessing) {
    private val nearest = Gatherer(how)
    private val all = Gatherer(null)
    private var whole = ByteArray(0)
    private var resizer: Resizer? = null
    private var resizedWidth = 0
    private var resizedHeight = 0

    /**
     * Turn, mirror, resize: a frame as the card wants it.
     *
     * @param out receives `how.size` bytes, 0..255 and unscaled, in `how.channelOrder`.
     */
    public fun read(buffer: CameraBuffer, out: ByteArray) {
        if (out.size != how.size) throw PictureRejected("an input of ${out.size} bytes; possible: ${how.size}")
        if (how.filter == Filter.NEAREST && !how.reduces(buffer.width, buffer.height)) {
            return nearest.gather(buffer, out)
        }
        if (whole.size != all.size(buffer)) whole = ByteArray(all.size(buffer))
        all.gather(buffer, whole)
        resizerOf(buffer.turn.width(buffer.width, buffer.height), buffer.turn.height(buffer.width, buffer.height))
            .resize(whole, out)
    }

    /**
     * The whole frame, upright.
     *
     * @param spare bytes of a picture that is no longer needed; used when they are as many as this one has.
     */
    public fun upright(buffer: CameraBuffer, spare: ByteArray? = null): Picture {
        val rgb = spare?.takeIf { it.size == all.size(buffer) } ?: ByteArray(all.size(buffer))
        all.gather(buffer, rgb)
        val turn = buffer.turn
        return Picture(rgb, turn.width(buffer.width, buffer.height), turn.height(buffer.width, buffer.height))
    }

    private fun resizerOf(width: Int, height: Int): Resizer {
        val kept = resizer
        if (kept != null && width == resizedWidth && height == resizedHeight) return kept
        resizedWidth = width
        resizedHeight = height
        return Resizer(width, height, how).also { resizer = it }
    }
}
