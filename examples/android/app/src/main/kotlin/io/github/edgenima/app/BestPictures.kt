package io.github.edgenima.app

import android.content.Context
import android.graphics.Bitmap
import io.github.edgenima.core.Picture
import java.io.File
import java.io.FileOutputStream
import java.io.IOException

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
            val bitmap = bitmap(frame.picture)
            if (!bitmap.compress(Bitmap.CompressFormat.JPEG, QUALITY, stream)) throw IOException("cannot write $beside")
            bitmap.recycle()
            stream.fd.sync()
        }
        if (!beside.renameTo(file)) throw IOException("cannot rename $beside")
        val line = frame.record(file.name, file.length(), file.lastModified() * NANOS_PER_MS).toJsonLine()
        File(folder, "scores.jsonl").appendText(line)
        forgetOldest()
        return file
    }

    private fun forgetOldest() {
        val pictures = folder.listFiles { file -> file.name.endsWith(".jpg") }.orEmpty().sortedBy { it.name }
        for (old in pictures.dropLast(KEPT)) old.delete()
    }

    private fun bitmap(picture: Picture): Bitmap {
        val rgb = picture.rgb
        val colours = IntArray(picture.width * picture.height) {
            val at = it * 3
            -0x1000000 or (rgb[at].toInt() and 255 shl 16) or (rgb[at + 1].toInt() and 255 shl 8) or
                (rgb[at + 2].toInt() and 255)
        }
        return Bitmap.createBitmap(colours, picture.width, picture.height, Bitmap.Config.ARGB_8888)
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
