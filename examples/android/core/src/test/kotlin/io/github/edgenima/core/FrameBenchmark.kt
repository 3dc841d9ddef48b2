package io.github.edgenima.core

private const val SECONDS = 2.0

/**
 * How long a frame takes to become the model's input of 224x224, on this machine, and what the step to a longest edge
 * of 640 adds to it:
 *
 *     mvn -q -f examples/android/core test-compile exec:java
 */
fun main() {
    for ((width, height) in listOf(640 to 480, 1280 to 720, 1920 to 1080)) {
        for (layout in Layout.entries) {
            for (rotation in listOf(0, 90)) {
                val buffer = frame(layout, width, height, rotation, mirror = false)
                for (filter in listOf(Filter.NEAREST, Filter.BILINEAR)) {
                    val plain = median(buffer, how(filter, null))
                    val reduced = median(buffer, how(filter, 640))
                    println(
                        "${width}x$height $layout, $rotation degrees, $filter: %.2f ms; longest edge 640: %+.2f ms"
                            .format(plain, reduced - plain),
                    )
                }
            }
        }
    }
}

private fun how(filter: Filter, edge: Int?) = Preprocessing(
    224, 224, Fit.STRETCH, filter, filter != Filter.NEAREST, ChannelOrder.RGB, 1 / 127.5, -1.0, Scaling.GRAPH, edge,
)

/** Milliseconds; of as many frames as [SECONDS] hold, after half as many that the compiler needs. */
private fun median(buffer: CameraBuffer, how: Preprocessing): Double {
    val reader = FrameReader(how)
    val input = ByteArray(how.size)
    val until = System.nanoTime() + SECONDS / 2 * 1e9
    while (System.nanoTime() < until) reader.read(buffer, input)
    val times = mutableListOf<Long>()
    val end = System.nanoTime() + SECONDS * 1e9
    while (System.nanoTime() < end) {
        val began = System.nanoTime()
        reader.read(buffer, input)
        times += System.nanoTime() - began
    }
    return times.sorted()[times.size / 2] / 1e6
}
