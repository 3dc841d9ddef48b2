package com.google.ai.edge.litert;

import io.github.edgenima.core.JvmTflite;
import io.github.edgenima.core.TensorInfo;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.List;
import java.util.stream.Collectors;

/** What the app calls of LiteRT 2.3's CompiledModel, run by TensorFlow Lite for the JVM. */
public final class CompiledModel implements AutoCloseable {
    private final JvmTflite model;

    private CompiledModel(JvmTflite model) {
        this.model = model;
    }

    public static CompiledModel create(String filePath, Options options) throws LiteRtException {
        try {
            byte[] content = Files.readAllBytes(Paths.get(filePath));
            ByteBuffer direct = ByteBuffer.allocateDirect(content.length).put(content);
            direct.rewind();
            return new CompiledModel(new JvmTflite(direct));
        } catch (Exception error) {
            throw new LiteRtException("cannot be compiled: " + error.getMessage());
        }
    }

    public List<TensorBuffer> createInputBuffers() {
        return buffers(model.getInputs());
    }

    public List<TensorBuffer> createOutputBuffers() {
        return buffers(model.getOutputs());
    }

    public void run(List<TensorBuffer> inputs, List<TensorBuffer> outputs) {
        inputs.get(0).bytes.rewind();
        outputs.get(0).bytes.rewind();
        model.run(inputs.get(0).bytes, outputs.get(0).bytes);
    }

    @Override
    public void close() {
        model.close();
    }

    private static List<TensorBuffer> buffers(List<TensorInfo> tensors) {
        return tensors.stream().map(TensorBuffer::new).collect(Collectors.toList());
    }

    public static final class Options {
        private CpuOptions cpuOptions;

        public Options(Accelerator... accelerators) {}

        public CpuOptions getCpuOptions() {
            return cpuOptions;
        }

        public void setCpuOptions(CpuOptions options) {
            cpuOptions = options;
        }
    }

    public static final class CpuOptions {
        public CpuOptions(Integer numThreads) {}
    }
}
