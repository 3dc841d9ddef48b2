package io.github.edgenima.core

import java.math.BigDecimal
import java.math.MathContext
import java.math.RoundingMode
import kotlin.math.abs

/** A finite number with so many significant digits, no trailing zeros, as Python's `%g`: 0.00784314, 1e-05. */
internal fun general(value: Double, digits: Int = 6): String {
    if (value == 0.0) return "0"
    val rounded = BigDecimal(value).round(MathContext(digits, RoundingMode.HALF_EVEN)).stripTrailingZeros()
    val exponent = rounded.precision() - rounded.scale() - 1
    return if (exponent < -4 || exponent >= digits) scientific(rounded, exponent) else rounded.toPlainString()
}

/**
 * A finite number in the fewest digits that read back as the same double, written as Python's `repr` does: 5.0, 1e-05.
 *
 * `Double.toString` of a phone neither writes it so nor is always the shortest.
 */
internal fun shortest(value: Double): String {
    if (value == 0.0) return if (1 / value < 0) "-0.0" else "0.0"
    val exact = BigDecimal(value)
    val digits = (1..17).first { exact.round(MathContext(it, RoundingMode.HALF_EVEN)).toDouble() == value }
    val rounded = exact.round(MathContext(digits, RoundingMode.HALF_EVEN)).stripTrailingZeros()
    val exponent = rounded.precision() - rounded.scale() - 1
    if (exponent < -4 || exponent >= 16) return scientific(rounded, exponent)
    val plain = rounded.toPlainString()
    return if ('.' in plain) plain else "$plain.0"
}

private fun scientific(value: BigDecimal, exponent: Int): String {
    val digits = value.unscaledValue().abs().toString()
    val mantissa = if (digits.length == 1) digits else "${digits[0]}.${digits.substring(1)}"
    val sign = if (exponent < 0) "-" else "+"
    val power = abs(exponent).toString().padStart(2, '0')
    return "${if (value.signum() < 0) "-" else ""}${mantissa}e$sign$power"
}

/** Text with line ends and other characters that cannot be seen written as escapes. */
internal fun escaped(text: String): String = buildString {
    for (c in text) {
        when {
            c == '\n' -> append("\\n")
            c == '\r' -> append("\\r")
            c == '\t' -> append("\\t")
            c == '\\' -> append("\\\\")
            isPrintable(c) -> append(c)
            else -> append("\\u").append(c.code.toString(16).padStart(4, '0'))
        }
    }
}

/** Whether each character is one that is seen, or a plain space. */
internal fun isOneLine(text: String): Boolean = text.all(::isPrintable)

private fun isPrintable(c: Char): Boolean = c == ' ' || c.category !in UNSEEN

private val UNSEEN = setOf(
    CharCategory.CONTROL, CharCategory.FORMAT, CharCategory.PRIVATE_USE, CharCategory.UNASSIGNED,
    CharCategory.LINE_SEPARATOR, CharCategory.PARAGRAPH_SEPARATOR, CharCategory.SPACE_SEPARATOR,
)

private const val HEX = "0123456789abcdef"

/** Bytes as lower-case hexadecimal. */
internal fun hex(bytes: ByteArray): String = buildString(bytes.size * 2) {
    for (byte in bytes) append(HEX[byte.toInt() shr 4 and 15]).append(HEX[byte.toInt() and 15])
}
