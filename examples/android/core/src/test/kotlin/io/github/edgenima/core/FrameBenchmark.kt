package io.github.edgenima.core

import java.lang.management.ManagementFactory

private const val WARM_UP_SECONDS = 0.7
private const val SECONDS = 0.7
private val THREADS = ManagementFactory.getThreadMXBean()

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
    224, 224, Fit.STRETCH, filter, filter != Filter.NEAREST, ChannelOrder.RGB, listOf(1 / 127.5), listOf(-1.0),
    Scaling.GRAPH, edge,
)

/** Milliseconds of this thread's processor time: other programs do not count. */
private fun median(buffer: CameraBuffer, how: Preprocessing): Double {
    val reader = FrameReader(how)
    val input = ByteArray(how.size)
    val times = mutableListOf<Long>()
    var seconds = 0.0
    while (seconds < WARM_UP_SECONDS + SECONDS) {
        val began = THREADS.currentThreadCpuTime
        reader.read(buffer, input)
        val took = THREADS.currentThreadCpuTime - began
        seconds += took / 1e9
        if (seconds > WARM_UP_SECONDS) times += took
    }
    return times.sorted()[times.size / 2] / 1e6
}
