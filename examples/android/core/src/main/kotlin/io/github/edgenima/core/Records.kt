package io.github.edgenima.core

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
    /** One line of a .jsonl file, with its line end. */
    public fun toJsonLine(): String {
        val cells = listOf(
            "name" to quoted(name),
            "mean" to shortest(score.mean),
            "std" to shortest(score.std),
            "distribution" to score.distribution.joinToString(", ", "[", "]", transform = ::shortest),
            "model" to quoted(model),
            "elapsed_ms" to shortest(score.elapsedMs),
            "error" to "null",
            "preprocessing" to quoted(preprocessing),
            "size" to size.toString(),
            "mtime_ns" to mtimeNs.toString(),
        )
        return cells.joinToString(", ", "{", "}\n") { (key, value) -> "\"$key\": $value" }
    }
}

/** A JSON text in ASCII, as Python's json writes it. */
private fun quoted(text: String): String = buildString {
    append('"')
    for (c in text) {
        when (c) {
            '"' -> append("\\\"")
            '\\' -> append("\\\\")
            '\n' -> append("\\n")
            '\r' -> append("\\r")
            '\t' -> append("\\t")
            '\b' -> append("\\b")
            '\u000c' -> append("\\f")
            in ' '..'~' -> append(c)
            else -> append("\\u").append(c.code.toString(16).padStart(4, '0'))
        }
    }
    append('"')
}
