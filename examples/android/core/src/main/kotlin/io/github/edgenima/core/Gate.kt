package io.github.edgenima.core

import com.google.gson.JsonArray
import com.google.gson.JsonElement
import com.google.gson.JsonObject

/** What the gate said of a conversion: whether it differs from the float model by no more than it may. */
public class Verdict private constructor(private val told: String) {
    /** The verdict in one line, with the numbers of a failure or why it is not judged, and on what. */
    public fun describe(): String = told

    internal companion object {
        private const val MOST_TOLD = 8
        private val STATUSES = listOf("passed", "failed", "not judged")

        /** Read what a card holds; throws [ModelRejected] when it is none. */
        fun parse(raw: JsonElement): Verdict {
            val gate = raw as? JsonObject ?: throw bad("is not an object")
            val status = text(gate, "status").takeIf { it in STATUSES }
                ?: throw bad("has a status that is none of: ${STATUSES.joinToString()}")
            val n = gate["n"].wholeOrNull()?.takeIf { it >= 0 } ?: throw bad("has n that is not a whole number")
            val failures = (gate["failures"] ?: JsonArray()) as? JsonArray ?: throw bad("has failures that are no list")
            if ((status == "failed") == failures.isEmpty) throw bad("says $status with ${failures.size()} failures")
            val on = text(gate, "on").let { if (it.isEmpty()) "" else ", ${it.take(300)}" }
            val rest = failures.size() - MOST_TOLD
            val more = if (rest > 0) listOf("and $rest more") else emptyList()
            val why = text(gate, "why").take(300)
            val told = (failures.map(::failure).take(MOST_TOLD) + more).joinToString().ifEmpty { why }
            return Verdict("$status (n=$n$on)" + if (told.isEmpty()) "" else ": $told")
        }

        private fun text(raw: JsonObject, key: String): String {
            val value = raw[key] ?: return ""
            return if (value.isText()) value.asString else throw bad("has $key that is not text")
        }

        private fun failure(raw: JsonElement): String {
            val item = raw as? JsonObject ?: throw bad("has a failure that is not an object")
            val bound = mapOf("min" to "at least", "max" to "at most")[text(item, "side")]
            val limit = item["limit"].numberOrNull()
            val undefined = item["value"] == null || item["value"].isJsonNull
            val value = if (undefined) "undefined" else item["value"].numberOrNull()
            if (bound == null || limit == null || value == null) throw bad("has a failure that lacks a part")
            val beside = text(item, "note").let { if (it.isEmpty()) "" else "; ${it.take(200)}" }
            return "${text(item, "statistic").take(40)} $value ($bound $limit$beside)"
        }

        private fun bad(what: String) = ModelRejected("the card's gate $what")
    }
}
