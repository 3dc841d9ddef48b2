package io.github.edgenima.core

import com.google.gson.JsonElement
import com.google.gson.JsonObject
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
        )

        /** Fields of cards of format 2; null is as good as absent. */
        private val LATER = setOf("longest_edge", "longest_edge_filter")

        /** The field of cards of format 3, which may have three factors too. */
        private const val LAYOUT = "layout"
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
            val given = raw.keySet().filter { it !in LATER || !raw[it].isJsonNull }.toSet()
            checkFields(given)
            val fit = choice(raw, "fit", Fit.entries.associateBy { it.name.lowercase() })
            val filter = choice(raw, "filter", Filter.entries.associateBy { it.name.lowercase() })
            val smooth = filter != Filter.NEAREST
            val antialias = choice(raw, "antialias", mapOf("$smooth" to smooth), " with filter ${shown(raw["filter"])}")
            // In the order in which the command line looks, so that the same fault is told first.
            return Preprocessing(
                fit = fit,
                filter = filter,
                antialias = antialias,
                channelOrder = choice(raw, "channel_order", ChannelOrder.entries.associateBy { it.name }),
                scaling = choice(raw, "scaling", Scaling.entries.associateBy { it.name.lowercase() }),
                longestEdgeFilter = if ("longest_edge_filter" in given) edgeFilter(raw) else Filter.LANCZOS,
                axes = if (LAYOUT in given) choice(raw, LAYOUT, Axes.entries.associateBy { it.name }) else Axes.NHWC,
                width = whole(raw, "width", LARGEST_SIDE),
                height = whole(raw, "height", LARGEST_SIDE),
                longestEdge = if ("longest_edge" in given) whole(raw, "longest_edge", LARGEST_EDGE, "null, ") else null,
                scale = factor(raw, "scale"),
                offset = factor(raw, "offset"),
            )
        }

        private fun checkFields(given: Set<String>) {
            val needed = if ("longest_edge" in given) FIELDS + LATER else FIELDS
            val told = listOf("missing" to needed - given, "unknown" to given - FIELDS - LATER - LAYOUT)
                .filter { it.second.isNotEmpty() }
                .joinToString("; ") { (what, keys) -> "$what ${keys.sorted().joinToString(", ")}" }
            if (told.isNotEmpty()) {
                throw ModelRejected("preprocessing is not as it must be: ${escaped(told).take(200)}")
            }
        }

        private fun <T> choice(raw: JsonObject, field: String, possible: Map<String, T>, what: String = ""): T {
            val given = raw[field]
            // A text "false" is no false: the JSON type must fit too.
            val typed = if (field == "antialias") given.isBoolean() else given.isText()
            return (if (typed) possible[given.asString] else null) ?: throw ModelRejected(
                "preprocessing $field is ${shown(given)}$what; possible: ${possible.keys.joinToString(", ")}",
            )
        }

        private fun edgeFilter(raw: JsonObject): Filter {
            val averaging = Filter.entries - Filter.NEAREST
            return choice(raw, "longest_edge_filter", averaging.associateBy { it.name.lowercase() })
        }

        private fun whole(raw: JsonObject, field: String, largest: Int, otherwise: String = ""): Int {
            val value = raw[field].wholeOrNull()
            if (value != null && value in 1..largest) return value.toInt()
            throw ModelRejected(
                "preprocessing $field is ${shown(raw[field])}; " +
                    "possible: ${otherwise}a whole number from 1 to $largest",
            )
        }

        private fun factor(raw: JsonObject, field: String): List<Double> {
            val given = raw[field]
            val three = given != null && given.isJsonArray && given.asJsonArray.size() == 3
            val values = (if (three) given.asJsonArray.toList() else listOf(given)).map { it.numberOrNull() }
            val possible = values.filterNotNull().filter {
                abs(it) <= LARGEST_FACTOR && (field == "offset" || it != 0.0)
            }
            if (possible.size == values.size) return possible
            val other = if (field == "scale") " other than 0" else ""
            throw ModelRejected("preprocessing $field is ${shown(given)}; possible: a finite number$other, or three")
        }
    }
}

internal fun JsonElement?.isText(): Boolean = this != null && isJsonPrimitive && asJsonPrimitive.isString

internal fun JsonElement?.isBoolean(): Boolean = this != null && isJsonPrimitive && asJsonPrimitive.isBoolean

/** A JSON number as a double; null when it is something else, or too large for one. */
internal fun JsonElement?.numberOrNull(): Double? {
    if (this == null || !isJsonPrimitive || !asJsonPrimitive.isNumber) return null
    return asString.toDouble().takeIf { it.isFinite() }
}

/** A JSON number written without fraction and exponent; null when it is something else, or larger than a Long. */
internal fun JsonElement?.wholeOrNull(): Long? =
    if (this != null && isJsonPrimitive && asJsonPrimitive.isNumber) asString.toLongOrNull() else null

/** A value as a message shows it: text in quotes, cut where it would flood the message. */
internal fun shown(value: JsonElement?): String {
    val text = whole(value)
    return if (text.length <= 60) text else text.take(60) + "…"
}

private fun whole(value: JsonElement?): String = when {
    value.isText() -> "'${escaped(value!!.asString)}'"
    value != null && value.isJsonArray -> value.asJsonArray.take(60).joinToString(", ", "[", "]") { whole(it) }
    else -> value.toString()
}
