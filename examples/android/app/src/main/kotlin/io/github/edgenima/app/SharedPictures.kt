package io.github.edgenima.app

import android.content.ContentProvider
import android.content.ContentValues
import android.content.Context
import android.database.Cursor
import android.database.MatrixCursor
import android.net.Uri
import android.os.ParcelFileDescriptor
import android.provider.OpenableColumns
import java.io.File
import java.io.FileNotFoundException

/** Lets an app to which a picture is shared read that picture, and nothing else. */
class SharedPictures : ContentProvider() {
    override fun onCreate(): Boolean = true

    override fun openFile(uri: Uri, mode: String): ParcelFileDescriptor {
        if (mode != "r") throw FileNotFoundException("$uri can be read only")
        return ParcelFileDescriptor.open(file(uri), ParcelFileDescriptor.MODE_READ_ONLY)
    }

    override fun getType(uri: Uri): String = "image/jpeg"

    override fun query(
        uri: Uri,
        projection: Array<String>?,
        selection: String?,
        selectionArgs: Array<String>?,
        sortOrder: String?,
    ): Cursor {
        val file = file(uri)
        val known = mapOf<String, Any>(OpenableColumns.DISPLAY_NAME to file.name, OpenableColumns.SIZE to file.length())
        val columns = projection?.filter { it in known }?.toTypedArray() ?: known.keys.toTypedArray()
        return MatrixCursor(columns).apply { addRow(columns.map { known[it] }) }
    }

    override fun insert(uri: Uri, values: ContentValues?): Uri? = null

    override fun delete(uri: Uri, selection: String?, selectionArgs: Array<String>?): Int = 0

    override fun update(uri: Uri, values: ContentValues?, selection: String?, selectionArgs: Array<String>?): Int = 0

    private fun file(uri: Uri): File {
        val name = uri.lastPathSegment.orEmpty()
        // A name, never a path: "../" leads nowhere.
        val file = File(BestPictures.folder(checkNotNull(context)), name)
        if (!NAME.matches(name) || !file.isFile) throw FileNotFoundException("no such picture: $uri")
        return file
    }

    companion object {
        private val NAME = Regex("best-[0-9]+\\.jpg")

        /** The address under which `file` is shared. */
        fun uri(context: Context, file: File): Uri =
            Uri.Builder().scheme("content").authority("${context.packageName}.pictures").appendPath(file.name).build()
    }
}
