package io.github.edgenima.core

/**
 * A turn clockwise by quarters, and then perhaps left and right swapped.
 *
 * Both axes stay straight: a column of the upright picture is a column or a row of what was stored, forwards or
 * backwards. So a pixel's place is the sum of one number of its column and one of its row.
 */
internal class Turn private constructor(rotation: Int, mirror: Boolean) {
    /** Whether columns of the upright picture are rows of the stored one. */
    val swaps: Boolean = rotation % 180 != 0
    private val columnsReversed = (rotation == 90 || rotation == 180) != mirror
    private val rowsReversed = rotation >= 180

    /** Width of the upright picture of what is stored `width` x `height`. */
    fun width(width: Int, height: Int): Int = if (swaps) height else width

    /** Height likewise. */
    fun height(width: Int, height: Int): Int = if (swaps) width else height

    /** Where upright column `column` of `count` is stored: its x, or its y when [swaps]. */
    fun column(column: Int, count: Int): Int = if (columnsReversed) count - 1 - column else column

    /** Where upright row `row` of `count` is stored: its y, or its x when [swaps]. */
    fun row(row: Int, count: Int): Int = if (rowsReversed) count - 1 - row else row

    companion object {
        /** Degrees clockwise that there are. */
        val ROTATIONS = listOf(0, 90, 180, 270)

        private val ALL = ROTATIONS.map { listOf(Turn(it, false), Turn(it, true)) }

        /** The turn of a rotation out of [ROTATIONS]. Made once: a camera asks for it with every frame. */
        fun of(rotation: Int, mirror: Boolean): Turn = ALL[rotation / 90][if (mirror) 1 else 0]

        /** The turn that an EXIF orientation asks for (EXIF 2.3, tag 0x0112); none for values that do not exist. */
        fun ofExif(orientation: Int): Turn = when (orientation) {
            2 -> of(0, true)
            3 -> of(180, false)
            4 -> of(180, true)
            5 -> of(90, true)
            6 -> of(90, false)
            7 -> of(270, true)
            8 -> of(270, false)
            else -> of(0, false)
        }
    }
}
