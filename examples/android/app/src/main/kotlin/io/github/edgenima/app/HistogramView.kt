package io.github.edgenima.app

import android.content.Context
import android.graphics.Canvas
import android.graphics.Paint
import android.util.AttributeSet
import android.util.TypedValue
import android.view.View
import io.github.edgenima.core.BINS
import io.github.edgenima.core.Score
import kotlin.math.floor

/** Ten bars: how many people give each rating; that of the mean in the accent's colour. */
class HistogramView(context: Context, attributes: AttributeSet) : View(context, attributes) {
    private var score: Score? = null
    private val bar = paint(android.R.attr.textColorSecondary)
    private val meanBar = paint(android.R.attr.colorAccent)
    private val label = paint(android.R.attr.textColorSecondary).apply {
        textSize = TypedValue.applyDimension(TypedValue.COMPLEX_UNIT_SP, 12f, resources.displayMetrics)
        textAlign = Paint.Align.CENTER
    }

    fun show(score: Score) {
        this.score = score
        invalidate()
    }

    override fun onDraw(canvas: Canvas) {
        val score = score ?: return
        val each = width.toFloat() / BINS
        val base = height + label.ascent() - label.descent()
        val tallest = score.distribution.max().coerceAtLeast(SMALLEST_TOP)
        val nearest = floor(score.mean - 0.5).toInt().coerceIn(0, BINS - 1)
        for (bin in 0 until BINS) {
            val size = (score.distribution[bin] / tallest).coerceAtLeast(0.0).toFloat() * base
            val left = bin * each
            val paint = if (bin == nearest) meanBar else bar
            canvas.drawRect(left + each / 12, base - size, left + each * 11 / 12, base, paint)
            canvas.drawText((bin + 1).toString(), left + each / 2, height - label.descent(), label)
        }
    }

    private fun paint(attribute: Int): Paint {
        val colours = context.obtainStyledAttributes(intArrayOf(attribute))
        val paint = Paint(Paint.ANTI_ALIAS_FLAG).apply { color = colours.getColor(0, 0) }
        colours.recycle()
        return paint
    }

    private companion object {
        /** A flat histogram stays low. */
        const val SMALLEST_TOP = 0.25
    }
}
