package androidx.core.content;

import android.content.ContentProvider;
import android.content.ContentValues;
import android.content.Context;
import android.content.pm.PackageManager;
import android.content.pm.ProviderInfo;
import android.content.res.XmlResourceParser;
import android.database.Cursor;
import android.net.Uri;
import android.os.ParcelFileDescriptor;
import java.io.File;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.util.HashMap;
import java.util.Map;
import org.xmlpull.v1.XmlPullParser;
import org.xmlpull.v1.XmlPullParserException;

/** Shares the files of the folders that the manifest's meta-data names, and no others. */
public class FileProvider extends ContentProvider {
    public static Uri getUriForFile(Context context, String authority, File file) {
        for (Map.Entry<String, File> root : roots(context, authority).entrySet()) {
            String path = file.getPath();
            String start = root.getValue().getPath() + "/";
            if (path.startsWith(start)) {
                return new Uri.Builder().scheme("content").authority(authority).appendPath(root.getKey())
                        .appendEncodedPath(Uri.encode(path.substring(start.length()), "/")).build();
            }
        }
        throw new IllegalArgumentException("no folder that is shared holds " + file);
    }

    private static Map<String, File> roots(Context context, String authority) {
        PackageManager packages = context.getPackageManager();
        ProviderInfo info = packages.resolveContentProvider(authority, PackageManager.GET_META_DATA);
        Map<String, File> roots = new HashMap<>();
        try (XmlResourceParser xml = info.loadXmlMetaData(packages, "android.support.FILE_PROVIDER_PATHS")) {
            for (int event = xml.next(); event != XmlPullParser.END_DOCUMENT; event = xml.next()) {
                if (event != XmlPullParser.START_TAG || xml.getDepth() < 2) continue;
                boolean external = xml.getName().equals("external-files-path");
                File folder = external ? context.getExternalFilesDir(null) : context.getFilesDir();
                roots.put(xml.getAttributeValue(null, "name"), new File(folder, xml.getAttributeValue(null, "path")));
            }
        } catch (IOException | XmlPullParserException error) {
            throw new IllegalArgumentException(error);
        }
        return roots;
    }

    private File file(Uri uri) throws FileNotFoundException {
        File root = roots(getContext(), uri.getAuthority()).get(uri.getPathSegments().get(0));
        String path = uri.getPath().substring(uri.getPathSegments().get(0).length() + 2);
        try {
            File file = new File(root, path).getCanonicalFile();
            if (!file.getPath().startsWith(root.getCanonicalPath() + "/")) throw new SecurityException(uri.toString());
            return file;
        } catch (IOException error) {
            throw new FileNotFoundException(uri.toString());
        }
    }

    @Override
    public boolean onCreate() {
        return true;
    }

    @Override
    public ParcelFileDescriptor openFile(Uri uri, String mode) throws FileNotFoundException {
        return ParcelFileDescriptor.open(file(uri), ParcelFileDescriptor.parseMode(mode));
    }

    @Override
    public Cursor query(Uri uri, String[] columns, String selection, String[] arguments, String order) {
        return null;
    }

    @Override
    public String getType(Uri uri) {
        return "image/jpeg";
    }

    @Override
    public Uri insert(Uri uri, ContentValues values) {
        throw new UnsupportedOperationException();
    }

    @Override
    public int delete(Uri uri, String selection, String[] arguments) {
        throw new UnsupportedOperationException();
    }

    @Override
    public int update(Uri uri, ContentValues values, String selection, String[] arguments) {
        throw new UnsupportedOperationException();
    }
}
