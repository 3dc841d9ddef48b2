package io.github.edgenima.core

import com.google.gson.JsonElement
import com.google.gson.JsonObject
import com.google.gson.JsonParser
import java.io.File
import java.nio.ByteBuffer
import kotlin.math.abs
import kotlin.math.max
import org.junit.jupiter.api.Assumptions

/** The folder that `edge-nima check --export-vectors` wrote: pixels and scores as the command line has them. */
class Vectors private constructor(private val folder: File) {
    private val json: JsonObject = JsonParser.parseString(folder.resolve("vectors.json").readText()).asJsonObject
    private val limits = json["limits"].asJsonObject
    val largestLevel: Int = limits["level"].asInt
    val smallestShare: Double = limits["equal"].asDouble
    val largestMeanGap: Double = limits["mean"].asDouble
    val model: ByteArray get() = bytes(json["model"].asJsonObject["file"])

    /** How many golden probes the model's card has. */
    val probes: Int get() = pictures.count { it["name"].asString.startsWith("probe-") }
    val label: String get() = json["model"].asJsonObject["label"].asString
    val hows: Map<String, Preprocessing> =
        json["preprocessings"].asJsonObject.asMap().mapValues { preprocessing(it.value.asJsonObject) }
    val described: Map<String, String> =
        json["preprocessings_described"].asJsonObject.asMap().mapValues { it.value.asString }
    val matrices: Map<String, JsonObject> = json["matrices"].asJsonObject.asMap().mapValues { it.value.asJsonObject }
    val pictures: List<JsonObject> get() = list("pictures")
    val buffers: List<JsonObject> get() = list("buffers")

    fun preprocessing(raw: JsonObject): Preprocessing {
        val card = """{"format": "edge-nima card", "format_version": 3, "name": "a", "preprocessing": $raw}"""
        return Card.parse(card.toByteArray()).preprocessing
    }

    fun list(key: String): List<JsonObject> = json[key].asJsonArray.map { it.asJsonObject }

    fun bytes(file: JsonElement): ByteArray = folder.resolve(file.asString).readBytes()

    fun upright(told: JsonObject): Picture {
        val width = (told["upright_width"] ?: told["width"]).asInt
        val height = (told["upright_height"] ?: told["height"]).asInt
        return Picture(bytes(told["upright"].asJsonObject["file"]), width, height)
    }

    /** The bytes of an input by the name of its preprocessing; checked by their sum. */
    fun input(told: JsonObject, key: String): ByteArray {
        val input = told["inputs"].asJsonObject[key].asJsonObject
        val how = hows.getValue(key)
        val pixels = bytes(input["file"])
        check(pixelsSha256(pixels, how.height, how.width) == input["sha256"].asString) { "${input["file"]} changed" }
        return pixels
    }

    fun buffer(told: JsonObject): CameraBuffer {
        val content = bytes(told["file"])
        val data = ByteBuffer.allocateDirect(content.size).put(content)
        val planes = told["planes"].asJsonArray.map { it.asJsonObject }.map {
            data.limit(data.capacity()).position(it["offset"].asInt)
            Plane(data.slice(), it["row_stride"].asInt, it["pixel_stride"].asInt)
        }
        return CameraBuffer(
            Layout.valueOf(told["layout"].asString),
            told["width"].asInt,
            told["height"].asInt,
            planes,
            told["rotation"].asInt,
            told["mirror"].asBoolean,
            if (told["matrix"].isJsonNull) YuvMatrix.BT601_FULL else matrix(told["matrix"].asString),
        )
    }

    companion object {
        const val HINT = "no vectors: edge-nima check --export-vectors DIR, then EDGE_NIMA_VECTORS=DIR"

        fun matrix(name: String): YuvMatrix = YuvMatrix.valueOf(name.uppercase().replace('-', '_'))

        /** The vectors; the test is skipped where there are none. */
        fun orSkip(): Vectors {
            val folder = System.getenv("EDGE_NIMA_VECTORS")
            Assumptions.assumeTrue(folder != null, HINT)
            return Vectors(File(folder))
        }
    }
}

fun JsonElement.doubles(): DoubleArray = asJsonArray.map { it.asDouble }.toDoubleArray()

/** How far two lists of levels lie apart, over many of them. */
class Agreement {
    private var count = 0L
    private var equal = 0L
    var largest = 0
        private set
    val share: Double get() = equal.toDouble() / count

    fun add(given: ByteArray, wanted: ByteArray) {
        check(given.size == wanted.size) { "${given.size} samples against ${wanted.size}" }
        for (i in given.indices) {
            val gap = abs((given[i].toInt() and 0xff) - (wanted[i].toInt() and 0xff))
            largest = max(largest, gap)
            if (gap == 0) equal++
        }
        count += given.size
    }

    override fun toString(): String =
        "largest difference $largest levels, %.5f %% of %,d equal".format(share * 100, count)
}
