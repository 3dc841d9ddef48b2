package io.github.edgenima.core

import com.google.gson.JsonElement

/** The model cannot be used; the message says why and what to do, on one line. */
public open class ModelRejected(message: String, cause: Throwable? = null) : Exception(message, cause)

/** A picture or a camera's buffer that cannot be read; the message says what it is instead. */
public class PictureRejected(message: String, cause: Throwable? = null) : Exception(message, cause)

/** What an exception says, on one line; its class's name where it says nothing. */
public fun reason(error: Throwable): String {
    val lines = error.message.orEmpty().lines().map { it.trim() }.filter { it.isNotEmpty() }
    return lines.joinToString(" ").ifEmpty { error.javaClass.simpleName }
}

/** A value out of a card as a message shows it. */
internal fun shown(value: JsonElement?): String =
    (if (value == null) "nothing" else if (value.isJsonPrimitive) value.toString() else "an object").take(60)

internal fun JsonElement?.isText(): Boolean = this != null && isJsonPrimitive && asJsonPrimitive.isString

/** A JSON number as a double; null when it is something else, or too large for one. */
internal fun JsonElement?.numberOrNull(): Double? {
    if (this == null || !isJsonPrimitive || !asJsonPrimitive.isNumber) return null
    return asString.toDouble().takeIf { it.isFinite() }
}

/** A JSON number written without fraction and exponent; null when it is something else, or larger than a Long. */
internal fun JsonElement?.wholeOrNull(): Long? =
    if (this != null && isJsonPrimitive && asJsonPrimitive.isNumber) asString.toLongOrNull() else null
