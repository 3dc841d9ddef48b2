"""The .tflite file: its graph, its quantisation, its card."""
