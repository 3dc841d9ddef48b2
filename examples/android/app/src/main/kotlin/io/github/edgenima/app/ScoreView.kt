package io.github.edgenima.app

import android.content.Context
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Paint
import android.util.AttributeSet
import android.util.TypedValue
import android.view.View
import io.github.edgenima.core.BINS
import kotlin.math.floor

/** A score over the camera's picture: the mean, its spread, and the ten bars of how many people give each rating. */
class ScoreView(context: Context, attributes: AttributeSet) : View(context, attributes) {
    private val distribution = DoubleArray(BINS)
    private val labels = Array(BINS) { "${it + 1}" }
    private var mean = 0.0
    private var meanText = ""
    private var spreadText = ""
    private var footText = ""

    private val scrim = Paint().apply { color = Color.argb(150, 0, 0, 0) }
    private val bar = Paint().apply { color = Color.argb(150, 255, 255, 255) }
    private val brightBar = Paint().apply { color = Color.rgb(255, 190, 92) }
    private val meanPaint = text(40f).apply { isFakeBoldText = true }
    private val spreadPaint = text(18f)
    private val footPaint = text(13f)
    private val labelPaint = text(12f).apply { textAlign = Paint.Align.CENTER }

    /** Show a reading; what is drawn changes at once. */
    fun show(reading: Reading) {
        val score = reading.score
        score.distribution.copyInto(distribution)
        mean = score.mean
        meanText = context.getString(R.string.score_mean, score.mean)
        spreadText = context.getString(R.string.score_spread, score.std)
        footText = context.getString(R.string.score_speed, reading.framesPerSecond, score.inferenceMs)
        visibility = VISIBLE
        invalidate()
    }

    /** What a screen reader says; it is a live region, so the change is heard. */
    fun announce(reading: Reading) {
        contentDescription = context.getString(R.string.score_spoken, reading.score.mean, reading.score.std)
    }

    /** Show nothing. */
    fun clear() {
        visibility = INVISIBLE
        contentDescription = null
    }

    override fun onDraw(canvas: Canvas) {
        val edge = dip(16f)
        canvas.drawRect(0f, 0f, width.toFloat(), height.toFloat(), scrim)
        val meanLine = edge - meanPaint.ascent()
        canvas.drawText(meanText, edge, meanLine, meanPaint)
        canvas.drawText(spreadText, edge + meanPaint.measureText(meanText) + dip(8f), meanLine, spreadPaint)
        val footLine = meanLine + meanPaint.descent() + dip(4f) - footPaint.ascent()
        canvas.drawText(footText, edge, footLine, footPaint)
        drawBars(canvas, edge, footLine + footPaint.descent() + dip(8f), height - edge - labelPaint.descent())
    }

    private fun drawBars(canvas: Canvas, edge: Float, top: Float, base: Float) {
        val each = (width - 2 * edge) / BINS
        val labelTop = base + labelPaint.ascent() - dip(2f)
        val tallest = distribution.max().coerceAtLeast(SMALLEST_TOP)
        val nearest = floor(mean - 0.5).toInt().coerceIn(0, BINS - 1)
        for (bin in 0 until BINS) {
            val left = edge + bin * each
            val size = (distribution[bin] / tallest).coerceAtLeast(0.0).toFloat() * (labelTop - top)
            val paint = if (bin == nearest) brightBar else bar
            canvas.drawRect(left + dip(2f), labelTop - size, left + each - dip(2f), labelTop, paint)
            canvas.drawText(labels[bin], left + each / 2, base, labelPaint)
        }
    }

    private fun text(size: Float) = Paint(Paint.ANTI_ALIAS_FLAG).apply {
        color = Color.WHITE
        textSize = TypedValue.applyDimension(TypedValue.COMPLEX_UNIT_SP, size, resources.displayMetrics)
    }

    private fun dip(size: Float) = size * resources.displayMetrics.density

    private companion object {
        /** A flat histogram stays low. */
        const val SMALLEST_TOP = 0.25
    }
}
