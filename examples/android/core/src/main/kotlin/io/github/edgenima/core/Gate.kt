package io.github.edgenima.core

import com.google.gson.JsonArray
import com.google.gson.JsonElement
import com.google.gson.JsonObject

/**
 * What the gate said of a conversion: whether it differs from the float model by no more than it may.
 *
 * @property status "passed", "failed" or "not judged".
 * @property n photographs that it was judged by.
 * @property on which photographs, in words.
 * @property failures statistics outside their tolerance, in words.
 * @property why why it is not judged.
 */
public data class Verdict(
    val status: String,
    val n: Long,
    val on: String,
    val failures: List<String>,
    val why: String,
) {
    /** The verdict in one line, with the numbers of a failure or why it is not judged, and on what. */
    public fun describe(): String {
        val where = if (on.isEmpty()) "n=$n" else "n=$n, ${escaped(on).take(300)}"
        val more = if (failures.size > MOST_TOLD) listOf("and ${failures.size - MOST_TOLD} more") else emptyList()
        val told = (failures.take(MOST_TOLD) + more).joinToString(", ").ifEmpty { escaped(why).take(300) }
        return "$status ($where)" + if (told.isEmpty()) "" else ": $told"
    }

    internal companion object {
        private const val MOST_TOLD = 8
        private const val LARGEST_COUNT = 1L shl 53
        private val STATUSES = listOf("passed", "failed", "not judged")

        /** Read what a card holds; throws [ModelRejected] when it is none. */
        fun parse(raw: JsonElement): Verdict {
            if (!raw.isJsonObject) throw bad("is not an object")
            val gate = raw.asJsonObject
            val status = gate["status"]?.takeIf { it.isText() && it.asString in STATUSES }?.asString
                ?: throw bad("has the status ${shown(gate["status"])}; possible: ${STATUSES.joinToString(", ")}")
            val n = gate["n"].wholeOrNull()?.takeIf { it in 0 until LARGEST_COUNT }
                ?: throw bad("has n ${shown(gate["n"])}; possible: a whole number")
            val failures = gate["failures"] ?: JsonArray()
            if (!failures.isJsonArray) throw bad("has failures that are not a list")
            val count = failures.asJsonArray.size()
            if ((status == "failed") != (count > 0)) throw bad("says $status with $count failures")
            checkLimits(gate["limits"])
            return Verdict(status, n, text(gate, "on"), failures.asJsonArray.map(::failure), text(gate, "why"))
        }

        private fun text(raw: JsonObject, key: String, told: String = "$key that"): String {
            val value = raw[key] ?: return ""
            return if (value.isText()) value.asString else throw bad("has a $told is not text")
        }

        private fun checkLimits(limits: JsonElement?) {
            if (limits == null || limits.isJsonNull) return
            if (!limits.isJsonObject || limits.asJsonObject.asMap().values.any { it.numberOrNull() == null }) {
                throw bad("has limits that are not numbers by name")
            }
        }

        private fun failure(raw: JsonElement): String {
            val item = if (raw.isJsonObject) raw.asJsonObject else JsonObject()
            val side = item["side"]?.takeIf { it.isText() && it.asString in listOf("min", "max") }?.asString
            if (!item["statistic"].isText() || side == null) {
                throw bad("has a failure without a statistic and a side (min or max)")
            }
            val undefined = item["value"] == null || item["value"].isJsonNull
            val value = item["value"].numberOrNull()
            val limit = item["limit"].numberOrNull()
            if (limit == null || (value == null && !undefined)) {
                throw bad("has a failure whose value or limit is not a number")
            }
            val bound = if (side == "min") "at least" else "at most"
            val told = if (value == null) "undefined" else general(value)
            val note = text(item, "note", "failure whose note")
            val beside = if (note.isEmpty()) "" else "; ${escaped(note).take(200)}"
            return "${escaped(item["statistic"].asString).take(40)} $told ($bound ${general(limit)}$beside)"
        }

        private fun bad(what: String) = ModelRejected("the card's gate $what")
    }
}
