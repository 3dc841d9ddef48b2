"""One set of vectors for every language: pictures and camera buffers, what they become, and what they score.

`edge-nima check --export-vectors DIR` writes them; the tests in Python, TypeScript and Kotlin read the same files.
"""

from edge_nima.vectors.export import FORMAT, FORMAT_VERSION, export_vectors

__all__ = ["FORMAT", "FORMAT_VERSION", "export_vectors"]
