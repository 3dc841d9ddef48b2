package io.github.edgenima.core

/** The model cannot be used; the message says why and what to do, on one line. */
public open class ModelRejected(message: String, cause: Throwable? = null) : Exception(message, cause)

/** A picture or a camera's buffer that cannot be read; the message says what it is instead. */
public class PictureRejected(message: String, cause: Throwable? = null) : Exception(message, cause)

/** What an exception says, on one line; its class's name where it says nothing. */
public fun reason(error: Throwable): String {
    val lines = error.message.orEmpty().lines().map { it.trim() }.filter { it.isNotEmpty() }
    return lines.joinToString(" ").ifEmpty { error.javaClass.simpleName }
}
