package androidx.activity;

import android.app.Activity;
import android.content.Intent;
import android.os.Bundle;
import androidx.activity.result.ActivityResultCallback;
import androidx.activity.result.ActivityResultLauncher;
import androidx.activity.result.contract.ActivityResultContract;
import androidx.lifecycle.LifecycleOwner;
import androidx.lifecycle.ViewModelStore;
import androidx.lifecycle.ViewModelStoreOwner;
import java.util.ArrayList;
import java.util.List;

/** Keeps its view models over a change of configuration, and gives results to the contracts registered for them. */
public class ComponentActivity extends Activity implements LifecycleOwner, ViewModelStoreOwner {
    private final List<Registered<?, ?>> registered = new ArrayList<>();
    private ViewModelStore store = new ViewModelStore();

    @Override
    protected void onCreate(Bundle state) {
        super.onCreate(state);
        if (getLastNonConfigurationInstance() != null) store = (ViewModelStore) getLastNonConfigurationInstance();
    }

    @Override
    protected void onDestroy() {
        super.onDestroy();
        if (!isChangingConfigurations()) store.clear();
    }

    @Override
    public final Object onRetainNonConfigurationInstance() {
        return store;
    }

    @Override
    public ViewModelStore getViewModelStore() {
        return store;
    }

    public final <I, O> ActivityResultLauncher<I> registerForActivityResult(
            ActivityResultContract<I, O> contract, ActivityResultCallback<O> callback) {
        int code = registered.size();
        registered.add(new Registered<>(contract, callback));
        return new ActivityResultLauncher<I>() {
            @Override
            public void launch(I input) {
                Intent intent = contract.createIntent(ComponentActivity.this, input);
                String[] permissions = intent.getStringArrayExtra(ActivityResultContract.PERMISSIONS);
                if (permissions == null) startActivityForResult(intent, code);
                else requestPermissions(permissions, code);
            }
        };
    }

    @Override
    protected void onActivityResult(int code, int result, Intent data) {
        registered.get(code).give(result, data);
    }

    @Override
    public void onRequestPermissionsResult(int code, String[] permissions, int[] grants) {
        registered.get(code).give(RESULT_OK, new Intent().putExtra(ActivityResultContract.GRANTS, grants));
    }

    private static final class Registered<I, O> {
        private final ActivityResultContract<I, O> contract;
        private final ActivityResultCallback<O> callback;

        Registered(ActivityResultContract<I, O> contract, ActivityResultCallback<O> callback) {
            this.contract = contract;
            this.callback = callback;
        }

        void give(int result, Intent data) {
            callback.onActivityResult(contract.parseResult(result, data));
        }
    }
}
