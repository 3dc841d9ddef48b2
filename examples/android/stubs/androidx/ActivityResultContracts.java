package androidx.activity.result.contract;

import android.app.Activity;
import android.content.Context;
import android.content.Intent;
import android.content.pm.PackageManager;
import android.net.Uri;
import android.provider.MediaStore;
import androidx.activity.result.PickVisualMediaRequest;

public final class ActivityResultContracts {
    private ActivityResultContracts() {}

    public static final class RequestPermission extends ActivityResultContract<String, Boolean> {
        @Override
        public Intent createIntent(Context context, String input) {
            return new Intent().putExtra(PERMISSIONS, new String[] {input});
        }

        @Override
        public Boolean parseResult(int resultCode, Intent intent) {
            int[] grants = intent.getIntArrayExtra(GRANTS);
            return grants.length > 0 && grants[0] == PackageManager.PERMISSION_GRANTED;
        }
    }

    public static class OpenDocument extends ActivityResultContract<String[], Uri> {
        @Override
        public Intent createIntent(Context context, String[] input) {
            return new Intent(Intent.ACTION_OPEN_DOCUMENT).setType("*/*").putExtra(Intent.EXTRA_MIME_TYPES, input);
        }

        @Override
        public final Uri parseResult(int resultCode, Intent intent) {
            return chosen(resultCode, intent);
        }
    }

    public static class PickVisualMedia extends ActivityResultContract<PickVisualMediaRequest, Uri> {
        @Override
        public Intent createIntent(Context context, PickVisualMediaRequest input) {
            return new Intent(MediaStore.ACTION_PICK_IMAGES).setType("image/*");
        }

        @Override
        public final Uri parseResult(int resultCode, Intent intent) {
            return chosen(resultCode, intent);
        }

        public interface VisualMediaType {}

        public static final VisualMediaType ImageOnly = new VisualMediaType() {};
    }

    private static Uri chosen(int resultCode, Intent intent) {
        return resultCode == Activity.RESULT_OK && intent != null ? intent.getData() : null;
    }
}
