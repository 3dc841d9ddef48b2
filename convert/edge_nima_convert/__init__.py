"""Checkpoint to .tflite with its card. Needs TensorFlow; what it makes does not."""
