package io.github.edgenima.core

import com.google.gson.JsonArray
import com.google.gson.JsonElement
import com.google.gson.JsonObject
import com.google.gson.JsonParseException
import com.google.gson.JsonParser
import com.google.gson.JsonPrimitive
import com.google.gson.Strictness
import com.google.gson.stream.JsonReader
import com.google.gson.stream.JsonToken
import java.io.IOException
import java.io.StringReader
import java.nio.ByteBuffer
import java.security.MessageDigest
import java.util.Base64

/**
 * A small picture whose score is known, so that a device can test its own decoding, resizing and arithmetic.
 *
 * @property name what it tries.
 * @property png the picture, a lossless PNG file.
 * @property pixelsSha256 of the decoded picture, upright RGB, as [Picture.sha256].
 * @property inputSha256 of the model's uint8 input made from it, likewise.
 * @property reference what the float checkpoint says: ten proportions.
 * @property own what this very model said where it was made.
 */
public class Probe(
    public val name: String,
    public val png: ByteArray,
    public val pixelsSha256: String,
    public val inputSha256: String,
    public val reference: DoubleArray,
    public val own: DoubleArray,
)

/**
 * How far a probe's mean may lie, in rating points.
 *
 * @property own from what this model said where it was made; a bin's proportion may not differ by more either.
 * @property reference from what the float checkpoint says.
 */
public data class Tolerance(val own: Double, val reference: Double)

/**
 * The sheet that travels inside a .tflite: how it wants its pixels, where it came from, and its golden probes.
 *
 * @property recipe how the weights are stored and the arithmetic done: float32, float16, int8, ...
 * @property gate whether its agreement with the float model is within tolerance; null in cards without one.
 */
public class Card(
    public val name: String,
    public val preprocessing: Preprocessing,
    public val recipe: String,
    public val gate: Verdict?,
    public val tolerance: Tolerance,
    public val probes: List<Probe>,
) {
    /** The name of a model in score records: the card's, and the first eight digits of the file's SHA-256. */
    public fun label(model: ByteArray): String =
        "$name@${hex(MessageDigest.getInstance("SHA-256").digest(model)).take(8)}"

    public companion object {
        private const val FORMAT = "edge-nima card"
        private const val FORMAT_VERSION = 3L
        private const val CARD_FILE = "edge_nima_card.json"
        private const val LARGEST = 32 shl 20

        /**
         * The card inside a .tflite.
         *
         * @param model the whole file.
         * @throws ModelRejected it is no .tflite, carries no card, or one that is damaged or of a newer format.
         */
        public fun read(model: ByteArray): Card {
            if (model.size < 8 || String(model, 4, 4, Charsets.ISO_8859_1) != "TFL3") {
                throw ModelRejected("not a .tflite: the file does not have its signature TFL3")
            }
            val json = try {
                fileAtEnd(model, CARD_FILE, LARGEST)
            } catch (error: ArchiveDamaged) {
                if (!holdsName(model)) throw ModelRejected(NO_CARD, error)
                throw ModelRejected("the card inside the .tflite is damaged: the file is truncated or changed", error)
            }
            return parse(json ?: throw ModelRejected(NO_CARD))
        }

        /**
         * Read a card's JSON, UTF-8.
         *
         * @throws ModelRejected not JSON, not a card, of a newer format, or a part that is missing or impossible.
         */
        public fun parse(json: ByteArray): Card {
            val raw = parsed(json)
            if (!raw.isJsonObject || raw.asJsonObject["format"].let { !it.isText() || it.asString != FORMAT }) {
                throw ModelRejected("this JSON is no card: a card starts with \"format\": \"$FORMAT\"")
            }
            val given = raw.asJsonObject["format_version"]
            val version = given.wholeOrNull()?.takeIf { it >= 1 }
                ?: throw ModelRejected("the card's format_version is ${shown(given)}; possible: 1 to $FORMAT_VERSION")
            if (version > FORMAT_VERSION) {
                throw ModelRejected(
                    "the card has format $version, this app reads up to $FORMAT_VERSION: update the app",
                )
            }
            return CardParser(raw.asJsonObject).card()
        }

        private const val NO_CARD =
            "the .tflite carries no card, so nobody knows how it wants its pixels: convert it with edge-nima convert, " +
                "or put one in with edge-nima card"

        private fun parsed(json: ByteArray): JsonElement {
            val error = try {
                val text = Charsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(json)).toString()
                val reader = JsonReader(StringReader(text)).apply { strictness = Strictness.STRICT }
                val read = JsonParser.parseReader(reader)
                if (reader.peek() == JsonToken.END_DOCUMENT) return read
                JsonParseException("more follows its end")
            } catch (error: JsonParseException) {
                error
            } catch (error: IOException) { // not UTF-8, too
                error
            }
            throw ModelRejected("a card is JSON; this is not (${reason(error)})", error)
        }

        private fun holdsName(model: ByteArray): Boolean {
            val wanted = CARD_FILE.toByteArray()
            return (0..model.size - wanted.size).any { at -> wanted.indices.all { model[at + it] == wanted[it] } }
        }
    }
}

/** The parts of a card, each checked. */
private class CardParser(private val raw: JsonObject) {
    fun card(): Card {
        val name = raw["name"]
        if (!name.isText() || name.asString.isEmpty() || name.asString.any { it.category in LINES }) {
            throw ModelRejected("the card's name is ${shown(name)}; possible: one line of text")
        }
        val recipe = raw["recipe"] ?: JsonPrimitive("unknown")
        if (!recipe.isText()) throw ModelRejected("the card's recipe is not text")
        val probes = (raw["probes"] ?: JsonArray()) as? JsonArray
            ?: throw ModelRejected("the card's probes is not a list")
        return Card(
            name = name.asString,
            recipe = recipe.asString,
            preprocessing = Preprocessing.parse(
                raw["preprocessing"] as? JsonObject ?: throw ModelRejected("the card has no preprocessing"),
            ),
            probes = probes.map(::probe),
            gate = raw["gate"]?.takeUnless { it.isJsonNull }?.let { Verdict.parse(it) },
            tolerance =
            if (raw.has("tolerance")) Tolerance(limit("own"), limit("reference")) else Tolerance(0.001, 0.01),
        )
    }

    // A tolerance of more than the scale's nine points is one that nothing can fail.
    private fun limit(key: String): Double =
        (raw["tolerance"] as? JsonObject)?.get(key).numberOrNull()?.takeIf { it > 0 && it <= 9 }
            ?: throw ModelRejected("the card's tolerance.$key is not a number above 0, at most 9 rating points")

    private fun probe(raw: JsonElement): Probe {
        fun part(key: String): JsonElement = requireNotNull((raw as? JsonObject)?.get(key)) { "it has no $key" }
        fun text(key: String): String = part(key).toString().removeSurrounding("\"")
        return try {
            Probe(
                name = text("name"),
                png = Base64.getDecoder().decode(text("png")),
                pixelsSha256 = text("pixels_sha256"),
                inputSha256 = text("input_sha256"),
                reference = proportions(part("reference")),
                own = proportions(part("own")),
            )
        } catch (error: IllegalArgumentException) {
            throw ModelRejected("a golden probe of the card is damaged: ${reason(error)}", error)
        }
    }

    private fun proportions(value: JsonElement): DoubleArray {
        val numbers = (value as? JsonArray)?.map { it.numberOrNull() ?: Double.NaN }
        return requireNotNull(numbers) { "a rating histogram is a list" }.toDoubleArray().also { asDistribution(it) }
    }

    private companion object {
        val LINES = setOf(CharCategory.CONTROL, CharCategory.LINE_SEPARATOR, CharCategory.PARAGRAPH_SEPARATOR)
    }
}
