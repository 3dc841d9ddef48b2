package androidx.activity.result;

import androidx.activity.result.contract.ActivityResultContracts.PickVisualMedia.VisualMediaType;

public final class PickVisualMediaRequest {
    private PickVisualMediaRequest() {}

    public static final class Builder {
        public Builder setMediaType(VisualMediaType type) {
            return this;
        }

        public PickVisualMediaRequest build() {
            return new PickVisualMediaRequest();
        }
    }
}
