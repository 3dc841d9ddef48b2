package io.github.edgenima.core

import kotlin.math.abs

/**
 * What one golden probe gave on this device.
 *
 * @property pixelsSame whether it decoded to the very pixels; null when that far it did not come.
 * @property inputSame whether it was resized to the very input.
 * @property mean mean rating here; NaN when that far it did not come.
 * @property ownMean mean rating that this model gave where it was made.
 * @property referenceMean mean rating of the float checkpoint.
 * @property largestBin largest difference of a bin from what this model gave where it was made.
 * @property problem why it fails; null when it passes.
 */
public data class ProbeResult(
    val name: String,
    val ownMean: Double,
    val referenceMean: Double,
    val pixelsSame: Boolean? = null,
    val inputSame: Boolean? = null,
    val mean: Double = Double.NaN,
    val largestBin: Double = Double.NaN,
    val problem: String? = null,
) {
    /** Mean here less the mean where the model was made, rating points. */
    public val ownGap: Double get() = mean - ownMean

    /** Mean here less the float checkpoint's, rating points. */
    public val referenceGap: Double get() = mean - referenceMean
}

/**
 * Run a model's golden probes through this device's decoding, resizing and interpreter.
 *
 * @return one result a probe. It fails when the picture decodes to other pixels, when the mean or a bin lies further
 *   from this model's own answer than the card's `tolerance.own`, or the mean further from the float checkpoint's than
 *   `tolerance.reference`.
 * @throws ModelRejected the card holds no probes.
 */
public fun checkModel(card: Card, interpreter: Interpreter, decoder: PictureDecoder): List<ProbeResult> {
    if (card.probes.isEmpty()) {
        throw ModelRejected(
            "${card.name} carries no golden probes, so there is nothing to check it by; convert it again",
        )
    }
    return card.probes.map { run(it, card, interpreter, decoder) }
}

private fun run(probe: Probe, card: Card, interpreter: Interpreter, decoder: PictureDecoder): ProbeResult {
    val how = card.preprocessing
    var result = ProbeResult(probe.name, meanRating(probe.own), meanRating(probe.reference))
    try {
        val picture = readPicture(probe.png, decoder)
        result = result.copy(pixelsSame = picture.sha256() == probe.pixelsSha256)
        toInput(picture, how, interpreter.pixels)
        val sha256 = pixelsSha256(interpreter.pixels, how.height, how.width)
        result = result.copy(inputSame = sha256 == probe.inputSha256)
        val distribution = interpreter.run()
        result = result.copy(
            mean = meanOf(distribution),
            largestBin = distribution.indices.maxOf { abs(distribution[it] - probe.own[it]) },
        )
    } catch (error: ModelRejected) {
        return result.copy(problem = reason(error))
    } catch (error: PictureRejected) {
        return result.copy(problem = reason(error))
    }
    return judged(result, card.tolerance)
}

private fun judged(result: ProbeResult, limits: Tolerance): ProbeResult {
    val problems = mutableListOf<String>()
    if (result.pixelsSame != true) problems += "decodes to other pixels"
    // Written so that NaN fails.
    if (!(abs(result.ownGap) <= limits.own && result.largestBin <= limits.own)) {
        val where = if (result.inputSame == true) "" else ", and resizes to another input"
        problems += "scores otherwise than where it was made (limit ${limits.own}$where)"
    }
    if (!(abs(result.referenceGap) <= limits.reference)) {
        problems += "too far from the float model (limit ${limits.reference})"
    }
    return if (problems.isEmpty()) result else result.copy(problem = problems.joinToString("; "))
}
