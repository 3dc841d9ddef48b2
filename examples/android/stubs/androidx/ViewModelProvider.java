package androidx.lifecycle;

import android.app.Activity;
import android.app.Application;

public class ViewModelProvider {
    private final ViewModelStoreOwner owner;

    public ViewModelProvider(ViewModelStoreOwner owner) {
        this.owner = owner;
    }

    public <T extends ViewModel> T get(Class<T> type) {
        Application application = ((Activity) owner).getApplication();
        return type.cast(owner.getViewModelStore().models.computeIfAbsent(type, ignored -> {
            try {
                return type.getConstructor(Application.class).newInstance(application);
            } catch (ReflectiveOperationException error) {
                throw new IllegalArgumentException(error);
            }
        }));
    }
}
