package io.github.edgenima.app

import android.content.Context
import android.graphics.Bitmap
import io.github.edgenima.core.Picture
import io.github.edgenima.core.Score
import io.github.edgenima.core.ScoreRecord
import io.github.edgenima.core.Scorer
import java.io.File
import java.io.FileOutputStream
import java.io.IOException

/** The best frame of a window of time. */
class BestFrame(val picture: Picture, val score: Score, val scorer: Scorer)

/**
 * The best frames as JPEG files, and their scores in `scores.jsonl` beside them, which the command line reads.
 *
 * @param folder made when it is not there; holds the latest [KEPT] pictures.
 */
class BestPictures(private val folder: File) {
    /**
     * Put a frame into a file of its own.
     *
     * @param takenAt milliseconds since 1970.
     * @throws IOException the storage is full, say.
     */
    fun keep(frame: BestFrame, takenAt: Long): File {
        if (!folder.isDirectory && !folder.mkdirs()) throw IOException("cannot make the folder $folder")
        val file = File(folder, "best-$takenAt.jpg")
        val beside = File(folder, "${file.name}.new")
        FileOutputStream(beside).use { stream ->
            val bitmap = frame.picture.bitmap()
            if (!bitmap.compress(Bitmap.CompressFormat.JPEG, QUALITY, stream)) throw IOException("cannot write $beside")
            bitmap.recycle()
            stream.fd.sync()
        }
        if (!beside.renameTo(file)) throw IOException("cannot rename $beside")
        val how = frame.scorer.card.preprocessing.describe()
        val modified = file.lastModified() * NANOS_PER_MS
        val record = ScoreRecord(file.name, frame.score, frame.scorer.label, how, file.length(), modified)
        File(folder, "scores.jsonl").appendText(record.toJsonLine())
        forgetOldest()
        return file
    }

    private fun forgetOldest() {
        val pictures = folder.listFiles { file -> file.name.endsWith(".jpg") }.orEmpty().sortedBy { it.name }
        for (old in pictures.dropLast(KEPT)) old.delete()
    }

    companion object {
        /** Pictures that are kept; older ones make room. */
        const val KEPT = 50
        private const val QUALITY = 92
        private const val NANOS_PER_MS = 1_000_000L

        /** Where they are; a computer reads them over USB, under Android/data. */
        fun folder(context: Context): File = File(context.getExternalFilesDir(null) ?: context.filesDir, "best")
    }
}
