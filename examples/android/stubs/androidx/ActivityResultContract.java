package androidx.activity.result.contract;

import android.content.Context;
import android.content.Intent;

public abstract class ActivityResultContract<I, O> {
    /** Here a request for permissions is an intent with these extras, handled by the activity. */
    public static final String PERMISSIONS = "permissions";
    public static final String GRANTS = "grants";

    public abstract Intent createIntent(Context context, I input);

    public abstract O parseResult(int resultCode, Intent intent);
}
