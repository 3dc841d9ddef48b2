package io.github.edgenima.core

import com.google.gson.JsonArray
import com.google.gson.JsonNull
import com.google.gson.JsonObject

/**
 * What a model said of one photograph; a line of the files that `edge-nima` reads and writes.
 *
 * @property name path of the photograph, or the name that was given.
 * @property model [Scorer.label].
 * @property preprocessing [Preprocessing.describe] of the model's card.
 * @property size bytes of the photograph's file; null when there is none.
 * @property mtimeNs when it was modified, nanoseconds since 1970; null likewise.
 */
public class ScoreRecord(
    private val name: String,
    private val score: Score,
    private val model: String,
    private val preprocessing: String,
    private val size: Long? = null,
    private val mtimeNs: Long? = null,
) {
    /** One line of a .jsonl file, with its line end; UTF-8. */
    public fun toJsonLine(): String {
        val line = JsonObject()
        line.addProperty("name", name)
        line.addProperty("mean", score.mean)
        line.addProperty("std", score.std)
        line.add("distribution", JsonArray().also { bins -> score.distribution.forEach(bins::add) })
        line.addProperty("model", model)
        line.addProperty("elapsed_ms", score.elapsedMs)
        line.add("error", JsonNull.INSTANCE)
        line.addProperty("preprocessing", preprocessing)
        line.addProperty("size", size)
        line.addProperty("mtime_ns", mtimeNs)
        return "$line\n"
    }
}
