package io.github.edgenima.core

private const val WARM_UP = 2000
private const val RUNS = 2000

/**
 * How long a frame of 1280x720 takes to become the model's input of 224x224, on this machine:
 *
 *     mvn -q -f examples/android/core test-compile exec:java
 */
fun main() {
    for (filter in listOf(Filter.NEAREST, Filter.BILINEAR)) {
        val smooth = filter != Filter.NEAREST
        val how = Preprocessing(
            224, 224, Fit.STRETCH, filter, smooth, ChannelOrder.RGB, 1 / 127.5, -1.0, Scaling.GRAPH,
        )
        for (layout in Layout.entries) {
            for (rotation in listOf(0, 90)) {
                val runs = if (smooth) RUNS / 20 else RUNS
                val reader = FrameReader(how)
                val buffer = frame(layout, 1280, 720, rotation, mirror = false)
                val input = ByteArray(how.size)
                repeat(if (smooth) WARM_UP / 20 else WARM_UP) { reader.read(buffer, input) }
                val times = LongArray(runs) {
                    val began = System.nanoTime()
                    reader.read(buffer, input)
                    System.nanoTime() - began
                }
                times.sort()
                val told = listOf(50, 90, 99).joinToString { "p$it %.3f ms".format(times[runs * it / 100] / 1e6) }
                println("1280x720 $layout, $rotation degrees, $filter: $told")
            }
        }
    }
}
