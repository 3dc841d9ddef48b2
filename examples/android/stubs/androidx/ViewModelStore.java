package androidx.lifecycle;

import java.util.HashMap;
import java.util.Map;

public class ViewModelStore {
    final Map<Class<?>, ViewModel> models = new HashMap<>();

    public final void clear() {
        models.values().forEach(ViewModel::onCleared);
        models.clear();
    }
}
