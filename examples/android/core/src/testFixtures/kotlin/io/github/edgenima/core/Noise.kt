package io.github.edgenima.core

import java.nio.ByteBuffer

/** A frame of noise that is the same each time. */
fun frame(layout: Layout, width: Int, height: Int, rotation: Int, mirror: Boolean): CameraBuffer {
    var state = 1
    fun plane(columns: Int, rows: Int, pixelStride: Int): Plane {
        val rowStride = columns * pixelStride + 16
        val data = ByteBuffer.allocateDirect(rowStride * rows)
        for (i in 0 until data.capacity()) {
            state = state * 1103515245 + 12345
            data.put(i, (state shr 16).toByte())
        }
        return Plane(data, rowStride, pixelStride)
    }
    val planes = when (layout) {
        Layout.RGBA_8888 -> listOf(plane(width, height, 4))
        Layout.YUV_420_888 -> {
            val half = (width + 1 shr 1) to (height + 1 shr 1)
            listOf(plane(width, height, 1), plane(half.first, half.second, 2), plane(half.first, half.second, 2))
        }
    }
    return CameraBuffer(layout, width, height, planes, rotation, mirror)
}
