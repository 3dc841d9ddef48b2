package androidx.camera.core;

import androidx.camera.core.resolutionselector.ResolutionSelector;
import java.util.concurrent.Executor;

public final class ImageAnalysis extends UseCase {
    public static final int STRATEGY_KEEP_ONLY_LATEST = 0;
    public static final int OUTPUT_IMAGE_FORMAT_RGBA_8888 = 2;

    public interface Analyzer {
        void analyze(ImageProxy image);
    }

    public void setAnalyzer(Executor executor, Analyzer analyzer) {}

    public void setTargetRotation(int rotation) {}

    public int getTargetRotation() {
        return 0;
    }

    public static final class Builder {
        public Builder setBackpressureStrategy(int strategy) {
            return this;
        }

        public Builder setOutputImageFormat(int format) {
            return this;
        }

        public Builder setResolutionSelector(ResolutionSelector selector) {
            return this;
        }

        public ImageAnalysis build() {
            return new ImageAnalysis();
        }
    }
}
