package io.github.edgenima.core

import com.google.gson.JsonElement
import com.google.gson.JsonObject
import kotlin.math.abs

/** Which part of the picture the model sees. */
public enum class Fit {
    /** All of it; the aspect ratio is ignored. */
    STRETCH,

    /** The largest centred part of the model's aspect ratio. */
    CROP,
}

/** The order of a pixel's three bytes. */
public enum class ChannelOrder { RGB, BGR }

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
 * @property width pixels, 1..4096.
 * @property height pixels, 1..4096.
 * @property antialias whether shrinking averages; true for every filter but nearest.
 * @property scale a pixel p in 0..255 becomes `p * scale + offset`.
 */
public data class Preprocessing(
    val width: Int,
    val height: Int,
    val fit: Fit,
    val filter: Filter,
    val antialias: Boolean,
    val channelOrder: ChannelOrder,
    val scale: Double,
    val offset: Double,
    val scaling: Scaling,
) {
    /** Bytes of the model's input as uint8: three a pixel. */
    public val size: Int get() = width * height * 3

    /** One line for a person; the same text as the command line's. */
    public fun describe(): String {
        val smooth = if (antialias) "antialiased" else "no antialias"
        val where = if (scaling == Scaling.GRAPH) "inside the graph" else "by the caller"
        val sign = if (offset < 0) "-" else "+"
        return "${width}x$height, ${fit.name.lowercase()}, Pillow ${filter.name} ($smooth), $channelOrder, " +
            "p * ${general(scale)} $sign ${general(abs(offset))} $where"
    }

    internal companion object {
        private val FIELDS = setOf(
            "width", "height", "fit", "filter", "antialias", "channel_order", "scale", "offset", "scaling",
        )
        private const val LARGEST_FACTOR = 1e9

        /**
         * Read a card's `preprocessing`.
         *
         * @throws ModelRejected a part is missing, unknown or impossible. Nothing is guessed: each of these moves the
         *   score by more than quantisation does.
         */
        internal fun parse(raw: JsonObject): Preprocessing {
            checkFields(raw.keySet())
            val fit = choice(raw, "fit", Fit.entries.associateBy { it.name.lowercase() })
            val filter = choice(raw, "filter", Filter.entries.associateBy { it.name.lowercase() })
            val smooth = filter != Filter.NEAREST
            val antialias = choice(raw, "antialias", mapOf("$smooth" to smooth), " with filter ${shown(raw["filter"])}")
            return Preprocessing(
                width = side(raw, "width"),
                height = side(raw, "height"),
                fit = fit,
                filter = filter,
                antialias = antialias,
                channelOrder = choice(raw, "channel_order", ChannelOrder.entries.associateBy { it.name }),
                scale = factor(raw, "scale"),
                offset = factor(raw, "offset"),
                scaling = choice(raw, "scaling", Scaling.entries.associateBy { it.name.lowercase() }),
            )
        }

        private fun checkFields(given: Set<String>) {
            val told = listOf("missing" to FIELDS - given, "unknown" to given - FIELDS)
                .filter { it.second.isNotEmpty() }
                .joinToString("; ") { (what, keys) -> "$what ${keys.sorted().joinToString(", ")}" }
            if (told.isNotEmpty()) {
                throw ModelRejected("the card's preprocessing is not as it must be: ${escaped(told).take(200)}")
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

        private fun side(raw: JsonObject, field: String): Int {
            val value = raw[field].wholeOrNull()
            if (value != null && value in 1..4096) return value.toInt()
            throw ModelRejected(
                "preprocessing $field is ${shown(raw[field])}; possible: a whole number from 1 to 4096",
            )
        }

        private fun factor(raw: JsonObject, field: String): Double {
            val value = raw[field].numberOrNull()
            if (value != null && abs(value) <= LARGEST_FACTOR && (field == "offset" || value != 0.0)) return value
            val other = if (field == "scale") " other than 0" else ""
            throw ModelRejected("preprocessing $field is ${shown(raw[field])}; possible: a finite number$other")
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
    val text = if (value.isText()) "'${escaped(value!!.asString)}'" else value.toString()
    return if (text.length <= 60) text else text.take(60) + "…"
}
