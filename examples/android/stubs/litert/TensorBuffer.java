package com.google.ai.edge.litert;

import io.github.edgenima.core.TensorInfo;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Memory of a tensor; a write of more than it holds is refused, as LiteRT refuses it. */
public final class TensorBuffer implements AutoCloseable {
    final ByteBuffer bytes;

    TensorBuffer(TensorInfo tensor) {
        int count = tensor.getShape().stream().reduce(1, (a, b) -> a * b);
        int size = tensor.getType().equals("float32") ? 4 : 1;
        bytes = ByteBuffer.allocateDirect(count * size).order(ByteOrder.nativeOrder());
    }

    public void writeInt8(byte[] data) throws LiteRtException {
        room(data.length);
        bytes.put(data);
    }

    public void writeFloat(float[] data) throws LiteRtException {
        room(data.length * 4);
        bytes.asFloatBuffer().put(data);
    }

    public byte[] readInt8() {
        byte[] data = new byte[bytes.capacity()];
        bytes.rewind();
        bytes.get(data);
        return data;
    }

    public float[] readFloat() {
        float[] data = new float[bytes.capacity() / 4];
        bytes.rewind();
        bytes.asFloatBuffer().get(data);
        return data;
    }

    @Override
    public void close() {}

    private void room(int size) throws LiteRtException {
        if (size > bytes.capacity()) throw new LiteRtException(size + " bytes into " + bytes.capacity());
        bytes.rewind();
    }
}
