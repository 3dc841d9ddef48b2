package io.github.edgenima.core

import java.nio.ByteBuffer

/** Android's names of the layouts in which a camera hands over its pixels. */
public enum class Layout(internal val planes: Int) {
    /** One plane; alpha is ignored. */
    RGBA_8888(1),

    /** Y, U, V in this order; U and V have half the sides, rounded up. */
    YUV_420_888(3),
}

/** From Y, U, V to R, G, B, in steps of 1/65536 (ITU-R BT.601 and BT.709, by their Kr and Kb). */
public enum class YuvMatrix(kr: Double, kb: Double, full: Boolean) {
    /** What Android's cameras give (JFIF). */
    BT601_FULL(0.299, 0.114, true),
    BT601_LIMITED(0.299, 0.114, false),
    BT709_FULL(0.2126, 0.0722, true),
    BT709_LIMITED(0.2126, 0.0722, false),
    ;

    internal val y: Int = steps(if (full) 1.0 else 255.0 / 219)

    /** What black is: 16 in limited range, 0 in full range. */
    internal val yZero: Int = if (full) 0 else 16
    internal val rv: Int
    internal val gu: Int
    internal val gv: Int
    internal val bu: Int

    init {
        val chroma = if (full) 1.0 else 255.0 / 224
        val kg = 1 - kr - kb
        val red = 2 * (1 - kr) * chroma
        val blue = 2 * (1 - kb) * chroma
        rv = steps(red)
        gu = steps(-blue * kb / kg)
        gv = steps(-red * kr / kg)
        bu = steps(blue)
    }

    private fun steps(factor: Double): Int = Math.rint(65536 * factor).toInt()
}

/**
 * Where a plane's samples lie; what lies between them is no picture.
 *
 * @property buffer its bytes, from index 0 to its limit; position and mark are left alone. The last row may end without
 *   its padding.
 * @property rowStride bytes from a row to the next.
 * @property pixelStride bytes from a sample to the next.
 */
public class Plane(public val buffer: ByteBuffer, public val rowStride: Int, public val pixelStride: Int)

/**
 * One frame as it lies in memory.
 *
 * @property width pixels, before it is turned.
 * @property height likewise.
 * @property rotation degrees clockwise that make it upright: 0, 90, 180 or 270.
 * @property mirror whether left and right are swapped after that.
 * @property matrix of YUV; not looked at for RGBA.
 * @throws PictureRejected there is no such rotation, or the planes reach beyond their bytes.
 */
public class CameraBuffer(
    public val layout: Layout,
    public val width: Int,
    public val height: Int,
    public val planes: List<Plane>,
    public val rotation: Int,
    public val mirror: Boolean,
    public val matrix: YuvMatrix = YuvMatrix.BT601_FULL,
) {
    init {
        if (planes.size != layout.planes) {
            throw PictureRejected("${planes.size} planes of $layout; possible: ${layout.planes}")
        }
        if (rotation !in Turn.ROTATIONS) {
            throw PictureRejected("the buffer's rotation is $rotation; possible: ${Turn.ROTATIONS.joinToString(", ")}")
        }
        for (index in planes.indices) {
            val half = if (index == 0) 0 else 1
            checkPlane(planes[index], width + half shr half, height + half shr half)
        }
    }

    internal val turn: Turn get() = Turn.of(rotation, mirror)

    private fun checkPlane(plane: Plane, columns: Int, rows: Int) {
        val sample = if (layout == Layout.RGBA_8888) 3 else 1
        val end = (rows - 1L) * plane.rowStride + (columns - 1L) * plane.pixelStride + sample
        val forwards = columns > 0 && rows > 0 && plane.rowStride >= 0 && plane.pixelStride >= 0
        if (!forwards || end > plane.buffer.limit()) {
            throw PictureRejected(
                "${width}x$height with a row stride of ${plane.rowStride} and a pixel stride of ${plane.pixelStride} " +
                    "does not fit a buffer of ${plane.buffer.limit()} bytes",
            )
        }
    }
}
