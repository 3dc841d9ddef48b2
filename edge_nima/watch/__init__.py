"""A camera that keeps its good frames: the loop, what it decides, and what keeps it alive."""
