"""One module a suite, found by its name: `run(bench)` measures and keeps."""
