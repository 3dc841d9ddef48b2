package io.github.edgenima.app

import android.content.Context
import android.net.Uri
import java.io.FileNotFoundException
import java.io.IOException
import java.io.InputStream

/** Where models are read from. */
class ModelFiles(private val context: Context) {
    /**
     * The model that came with the app.
     *
     * @throws IOException the app was built without one.
     */
    fun bundled(): ByteArray = try {
        context.assets.open(BUNDLED).use(::whole)
    } catch (error: FileNotFoundException) {
        throw IOException("the app was built without $BUNDLED in its assets; open a model of your own", error)
    }

    /**
     * One that somebody chose.
     *
     * @throws IOException it cannot be read.
     */
    fun chosen(uri: Uri): ByteArray = try {
        val stream = context.contentResolver.openInputStream(uri) ?: throw IOException("nothing is there")
        stream.use(::whole)
    } catch (error: SecurityException) {
        throw IOException("the app that offers it does not allow it", error)
    }

    private fun whole(stream: InputStream): ByteArray {
        val bytes = stream.readBytes()
        if (bytes.size > LARGEST) throw IOException("${bytes.size shr 20} MiB; possible: up to ${LARGEST shr 20} MiB")
        return bytes
    }

    private companion object {
        const val BUNDLED = "model.tflite"
        const val LARGEST = 64 shl 20
    }
}
