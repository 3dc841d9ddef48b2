package io.github.edgenima.core

import com.google.gson.JsonElement
import com.google.gson.JsonObject
import com.google.gson.JsonParseException
import com.google.gson.JsonParser
import com.google.gson.Strictness
import com.google.gson.stream.JsonReader
import com.google.gson.stream.JsonToken
import java.io.IOException
import java.io.StringReader
import java.nio.ByteBuffer
import java.nio.charset.CharacterCodingException
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
    public val licence: String,
    public val attribution: String,
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
            val version = given.wholeOrNull()
            if (version == null || version < 1) {
                throw ModelRejected("the card's format_version is ${shown(given)}; possible: 1 to $FORMAT_VERSION")
            }
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

        private fun parsed(json: ByteArray): JsonElement = try {
            val text = Charsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(json)).toString()
            val reader = JsonReader(StringReader(text)).apply { strictness = Strictness.STRICT }
            JsonParser.parseReader(reader).also {
                if (reader.peek() != JsonToken.END_DOCUMENT) throw JsonParseException("more follows its end")
            }
        } catch (error: JsonParseException) {
            throw notJson(error)
        } catch (error: CharacterCodingException) {
            throw ModelRejected("a card is JSON; this is not (it is not UTF-8)", error)
        } catch (error: IOException) {
            throw notJson(error)
        }

        private fun notJson(error: Exception) = ModelRejected("a card is JSON; this is not (${reason(error)})", error)

        private fun holdsName(model: ByteArray): Boolean {
            val wanted = CARD_FILE.toByteArray()
            return (0..model.size - wanted.size).any { at -> wanted.indices.all { model[at + it] == wanted[it] } }
        }
    }
}

/** The parts of a card, each checked. */
private class CardParser(private val raw: JsonObject) {
    fun card(): Card {
        val name = raw["name"].takeIf { it.isText() }?.asString ?: throw ModelRejected("the card has no name")
        val preprocessing = raw["preprocessing"].takeIf { it != null && it.isJsonObject }
            ?: throw ModelRejected("the card has no preprocessing")
        if (name.isEmpty() || !isOneLine(name)) {
            throw ModelRejected("the card's name is ${shown(raw["name"])}; possible: one line of text")
        }
        text("output", "")
        list("labels")
        for (key in listOf("source", "converter", "calibration", "agreement")) checkFacts(key)
        return Card(
            name = name,
            recipe = text("recipe", "unknown"),
            licence = text("licence", "unknown"),
            attribution = text("attribution", ""),
            preprocessing = Preprocessing.parse(preprocessing.asJsonObject),
            probes = list("probes").map(::probe),
            gate = raw["gate"]?.takeUnless { it.isJsonNull }?.let { Verdict.parse(it) },
            tolerance = tolerance(),
        )
    }

    private fun text(key: String, otherwise: String): String {
        val value = raw[key] ?: return otherwise
        return if (value.isText()) value.asString else throw ModelRejected("the card's $key is not text")
    }

    private fun list(key: String): List<JsonElement> {
        val value = raw[key] ?: return emptyList()
        if (!value.isJsonArray) throw ModelRejected("the card's $key is not a list")
        return value.asJsonArray.toList()
    }

    private fun checkFacts(key: String) {
        val value = raw[key] ?: return
        val mayBeNothing = key == "calibration" || key == "agreement"
        if (value.isJsonObject || (value.isJsonNull && mayBeNothing)) return
        throw ModelRejected("the card's $key is not an object")
    }

    private fun tolerance(): Tolerance {
        val given = raw["tolerance"] ?: return Tolerance(0.001, 0.01)
        if (!given.isJsonObject) throw ModelRejected("the card's tolerance is not an object")
        fun limit(key: String): Double = given.asJsonObject[key].numberOrNull()?.takeIf { it > 0 && it <= 9 }
            // A tolerance of more than the scale's nine points is one that nothing can fail.
            ?: throw ModelRejected("the card's tolerance.$key is not a number above 0, at most 9 rating points")
        return Tolerance(limit("own"), limit("reference"))
    }

    private fun probe(raw: JsonElement): Probe {
        if (!raw.isJsonObject) throw damaged("it is not an object")
        fun part(key: String): JsonElement = raw.asJsonObject[key] ?: throw damaged("it has no $key")
        fun text(key: String): String = part(key).let { if (it.isJsonPrimitive) it.asString else it.toString() }
        return Probe(
            name = text("name"),
            png = base64(text("png")),
            pixelsSha256 = text("pixels_sha256"),
            inputSha256 = text("input_sha256"),
            reference = proportions(part("reference")),
            own = proportions(part("own")),
        )
    }

    private fun proportions(value: JsonElement): DoubleArray {
        val numbers = if (value.isJsonArray) value.asJsonArray.map { it.numberOrNull() } else listOf(null)
        if (null in numbers) throw damaged("a rating histogram is a list of numbers")
        val bins = numbers.filterNotNull().toDoubleArray()
        try {
            asDistribution(bins)
        } catch (error: IllegalArgumentException) {
            throw damaged(reason(error))
        }
        return bins
    }

    private fun base64(text: String): ByteArray {
        if (!BASE64.matches(text)) throw damaged("Only base64 data is allowed")
        if (text.length % 4 != 0) throw damaged("Incorrect padding")
        return Base64.getDecoder().decode(text)
    }

    private fun damaged(what: String) = ModelRejected("a golden probe of the card is damaged: $what")

    private companion object {
        val BASE64 = Regex("[A-Za-z0-9+/]*={0,2}")
    }
}
