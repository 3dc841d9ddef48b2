package io.github.edgenima.core

import com.google.gson.JsonArray
import com.google.gson.JsonObject
import java.math.BigDecimal
import java.math.MathContext
import java.math.RoundingMode
import java.util.Locale
import kotlin.math.abs
import kotlin.math.max

/** Which part of the picture the model sees. */
public enum class Fit {
    /** All of it; the aspect ratio is ignored. */
    STRETCH,

    /** The largest centred part of the model's aspect ratio. */
    CROP,
}

/** The order of a pixel's three bytes. */
public enum class ChannelOrder { RGB, BGR }

/** The order of the axes of a model's input: channels last, or a plane a channel. */
public enum class Axes { NHWC, NCHW }

/** Where `p * scale + offset` happens. */
public enum class Scaling {
    /** Inside the graph: the model takes uint8. */
    GRAPH,

    /** On this side of it: the model takes float32, or integers with a scale. */
    HOST,
}

/**
 * How a model wants its pixels: the part of a card that decides the score most.
 *
 * With a [longestEdge], a picture whose longest edge is above it is reduced first, whole and in proportion, by
 * [longestEdgeFilter]; [reducedSize] defines to which size. Smaller pictures stay as they are.
 *
 * @property width pixels, 1..4096.
 * @property height pixels, 1..4096.
 * @property antialias whether shrinking averages; true for every filter but nearest.
 * @property scale a pixel p in 0..255 becomes `p * scale + offset`; one number, or three: one a channel, in the order
 *   in which the model takes them.
 * @property offset likewise.
 * @property longestEdge pixels, 1..65535; null for no such step.
 * @property longestEdgeFilter not nearest.
 */
public data class Preprocessing(
    val width: Int,
    val height: Int,
    val fit: Fit,
    val filter: Filter,
    val antialias: Boolean,
    val channelOrder: ChannelOrder,
    val scale: List<Double>,
    val offset: List<Double>,
    val scaling: Scaling,
    val longestEdge: Int? = null,
    val longestEdgeFilter: Filter = Filter.LANCZOS,
    val axes: Axes = Axes.NHWC,
) {
    /** Bytes of the model's input as uint8: three a pixel. */
    public val size: Int get() = width * height * 3

    /** Whether an upright picture of this size, or a turned one, is reduced to [longestEdge] first. */
    public fun reduces(width: Int, height: Int): Boolean = longestEdge != null && max(width, height) > longestEdge

    /**
     * Size of an upright picture after the step [longestEdge]: width and height.
     *
     * A picture up to [longestEdge] stays as it is. Of a larger one the longest edge becomes exactly that, the other
     * side * longestEdge / longest, rounded half to even, at least 1.
     */
    public fun reducedSize(width: Int, height: Int): Pair<Int, Int> {
        val longest = max(width, height)
        if (longestEdge == null || longest <= longestEdge) return width to height
        fun reduced(side: Int) = max(1, Math.rint(side.toLong() * longestEdge / longest.toDouble()).toInt())
        return reduced(width) to reduced(height)
    }

    /** One line for a person; the same text as the command line's. */
    public fun describe(): String {
        val smooth = if (antialias) "antialiased" else "no antialias"
        val where = if (scaling == Scaling.GRAPH) "inside the graph" else "by the caller"
        val planes = if (axes == Axes.NHWC) "" else ", $axes"
        val first = if (longestEdge == null) {
            ""
        } else {
            "longest edge at most $longestEdge by Pillow ${longestEdgeFilter.name} " +
                "(JPEG at any DCT scale of ${DCT_MARGIN * longestEdge} or more), then "
        }
        return "$first${width}x$height, ${fit.name.lowercase()}, Pillow ${filter.name} ($smooth), $channelOrder, " +
            "${toldScaling()} $where$planes"
    }

    private fun toldScaling(): String {
        if (scale.size == 1 && offset.size == 1) {
            return "p * ${general(scale[0])} ${if (offset[0] < 0) "-" else "+"} ${general(abs(offset[0]))}"
        }
        fun told(factor: List<Double>) =
            if (factor.size == 1) general(factor[0]) else factor.joinToString(", ", "(", ")") { general(it) }
        return "p * ${told(scale)} + ${told(offset)}"
    }

    internal companion object {
        private val FIELDS = setOf(
            "width", "height", "fit", "filter", "antialias", "channel_order", "scale", "offset", "scaling",
            "longest_edge", "longest_edge_filter", "layout",
        )
        private const val LARGEST_FACTOR = 1e9
        private const val LARGEST_SIDE = 4096
        private const val LARGEST_EDGE = 65535

        /** The command line may decode a JPEG at a DCT scale that keeps so many times [longestEdge]. */
        private const val DCT_MARGIN = 3

        /**
         * Read a card's `preprocessing`; without `longest_edge`, or with null, there is no such step; `layout` is NHWC.
         *
         * @throws ModelRejected a part is missing, unknown or impossible. Nothing is guessed: each of these moves the
         *   score by more than quantisation does.
         */
        internal fun parse(raw: JsonObject): Preprocessing {
            val unknown = raw.keySet() - FIELDS
            if (unknown.isNotEmpty()) {
                val told = unknown.joinToString().take(200)
                throw ModelRejected("preprocessing has a part that is not known here: $told")
            }
            val lower = { name: Enum<*> -> name.name.lowercase() }
            val reduces = raw["longest_edge"].let { it != null && !it.isJsonNull }
            val filter = choice(raw, "filter", Filter.entries, lower)
            val antialias = raw["antialias"]
            if (antialias == null || antialias.toString() != "${filter != Filter.NEAREST}") {
                throw ModelRejected("preprocessing antialias is ${shown(antialias)} with filter ${lower(filter)}")
            }
            val says = reduces || raw["longest_edge_filter"].let { it != null && !it.isJsonNull }
            val averaging = Filter.entries - Filter.NEAREST
            return Preprocessing(
                fit = choice(raw, "fit", Fit.entries, lower),
                filter = filter,
                antialias = filter != Filter.NEAREST,
                channelOrder = choice(raw, "channel_order", ChannelOrder.entries) { it.name },
                scaling = choice(raw, "scaling", Scaling.entries, lower),
                longestEdgeFilter =
                if (says) choice(raw, "longest_edge_filter", averaging, lower) else Filter.LANCZOS,
                axes = if (raw.has("layout")) choice(raw, "layout", Axes.entries) { it.name } else Axes.NHWC,
                width = whole(raw, "width", LARGEST_SIDE),
                height = whole(raw, "height", LARGEST_SIDE),
                longestEdge = if (reduces) whole(raw, "longest_edge", LARGEST_EDGE) else null,
                scale = factor(raw, "scale"),
                offset = factor(raw, "offset"),
            )
        }

        private fun <T> choice(raw: JsonObject, field: String, possible: List<T>, name: (T) -> String): T =
            possible.find { raw[field].isText() && name(it) == raw[field].asString }
                ?: throw refused(raw, field, possible.joinToString { name(it) })

        private fun whole(raw: JsonObject, field: String, largest: Int): Int =
            raw[field].wholeOrNull()?.takeIf { it in 1..largest }?.toInt()
                ?: throw refused(raw, field, "a whole number from 1 to $largest")

        private fun factor(raw: JsonObject, field: String): List<Double> {
            val given = raw[field]
            val values = if (given is JsonArray && given.size() == 3) given.toList() else listOf(given)
            return values.map { value ->
                value.numberOrNull()?.takeIf { abs(it) <= LARGEST_FACTOR && (field == "offset" || it != 0.0) }
                    ?: throw refused(raw, field, "a finite number (of scale other than 0), or three")
            }
        }

        private fun refused(raw: JsonObject, field: String, possible: String) =
            ModelRejected("preprocessing $field is ${shown(raw[field])}; possible: $possible")
    }
}

/** A finite number as Python's `format(value, "g")`: six significant digits, of a tie the even one. */
private fun general(value: Double): String {
    if (value == 0.0) return "0"
    val rounded = BigDecimal(value).round(MathContext(6, RoundingMode.HALF_EVEN)).stripTrailingZeros()
    val exponent = rounded.precision() - rounded.scale() - 1
    if (exponent in -4 until 6) return rounded.toPlainString()
    return rounded.movePointLeft(exponent).toPlainString() + String.format(Locale.ROOT, "e%+03d", exponent)
}
