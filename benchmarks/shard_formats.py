"""What training should read: random access and Pillow's decode from tar, ArrayRecord and TFRecord, side by side.

usage: shard_formats.py SHARDS [--photographs 2000] [--rounds 5]

SHARDS is a folder of `edge-nima data pack`; the same JPEG bytes go into each format. "tar" is our reader (one `pread`
by the index, CRC-32 checked), "ArrayRecord" its own (`pip install array-record`; without it it is left out) and
"TFRecord" tf.data's, in the order of the file alone: it has no random access. Loose files, and bytes that are in memory
already, are there to compare. Each round goes through all, in an order of its own. The lossless formats of validation,
and the two checksums, are measured on SHARDS' pictures reduced to the model's input.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import statistics
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from machine import _version, keep
from PIL import Image

from edge_nima_train.shards import Shards, open_shards

Read = Callable[[int], bytes]
TFRECORD = "TFRecord, in order"


def decode(content: bytes) -> np.ndarray[Any, Any]:
    """Pillow's pixels."""
    return np.asarray(Image.open(io.BytesIO(content)))


def array_record(contents: list[bytes], folder: Path) -> Read | None:
    """A reader by row, with the settings that its documentation names for random access; None where it is missing."""
    try:
        from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter
    except ImportError:
        return None
    path = str(folder / "all.array_record")
    writer = ArrayRecordWriter(path, "group_size:1,uncompressed")
    for content in contents:
        writer.write(content)
    writer.close()
    own = threading.local()  # a reader is not to be shared by threads

    def read(row: int) -> bytes:
        if not hasattr(own, "reader"):
            own.reader = ArrayRecordReader(path, "readahead_buffer_size:0,max_parallelism:0")
        return bytes(own.reader.read([row])[0])

    return read


def tf_record(contents: list[bytes], folder: Path) -> Callable[[], Iterator[bytes]] | None:
    """All records in the file's order, by tf.data; None where TensorFlow is missing."""
    try:
        import tensorflow as tf
    except ImportError:
        return None
    path = str(folder / "all.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        for content in contents:
            writer.write(content)
    return lambda: tf.data.TFRecordDataset(path, buffer_size=1 << 20).prefetch(64).as_numpy_iterator()


def loose(contents: list[bytes], folder: Path) -> Read:
    """One file each."""
    for row, content in enumerate(contents):
        (folder / f"{row}.jpg").write_bytes(content)
    return lambda row: (folder / f"{row}.jpg").read_bytes()


Measured = tuple[float, float]
"""Photographs a second, and milliseconds of processor time for one."""


def measured(n: int, threads: int, go: Callable[[int], object]) -> Measured:
    """Run `go` in each thread. Processor time beside the clock's: it does not count what others do meanwhile."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(str, range(threads)))  # the threads are there before the clock starts
        started, used = perf_counter(), process_time()
        list(pool.map(go, range(threads)))
        return n / (perf_counter() - started), (process_time() - used) / n * 1e3


def by_row(read: Read, order: list[int], threads: int, finish: Callable[[bytes], object]) -> Measured:
    """Each thread reads its share."""

    def go(thread: int) -> None:
        for row in order[thread::threads]:
            finish(read(row))

    return measured(len(order), threads, go)


def in_order(
    records: Callable[[], Iterator[bytes]], n: int, threads: int, finish: Callable[[bytes], object]
) -> Measured:
    """The threads share one iterator."""
    lock, iterator = threading.Lock(), records()

    def go(_: int) -> None:
        while True:
            with lock:
                content = next(iterator, None)
            if content is None:
                return
            finish(content)

    return measured(n, threads, go)


def formats(shards: Shards, rows: list[int], rounds: int, folder: Path) -> None:
    """Measure the containers."""
    contents = [shards.read(row) for row in rows]
    n = len(contents)
    readers: dict[str, Read | None] = {
        "tar": lambda place: shards.read(rows[place]),
        "ArrayRecord": array_record(contents, folder),
        "loose files": loose(contents, folder),
        "memory": contents.__getitem__,
    }
    records = tf_record(contents, folder)
    names = [name for name, read in readers.items() if read is not None] + ([] if records is None else [TFRECORD])
    random = np.random.default_rng(0)
    work: dict[str, Callable[[bytes], object]] = {"read": len, "read and decode": decode}
    found: dict[tuple[str, str, int], list[Measured]] = {}
    for _ in range(rounds):
        order = random.permutation(n).tolist()
        for what, finish in work.items():
            for threads in (1, 2):
                for name in random.permutation(names).tolist():
                    read = readers.get(name)
                    if read is not None:
                        one = by_row(read, order, threads, finish)
                    elif records is not None:
                        one = in_order(records, n, threads, finish)
                    found.setdefault((name, what, threads), []).append(one)
    for (name, what, threads), values in found.items():
        rates, times = zip(*values, strict=True)
        keep(
            "shard_formats",
            {
                "format": name, "work": what, "threads": threads, "photographs": n,
                "mean_bytes": round(sum(map(len, contents)) / n), "rounds": rounds,
                "per_second": {"p50": round(statistics.median(rates)), "most": round(max(rates))},
                "processor_ms": {"p50": round(statistics.median(times), 4), "least": round(min(times), 4)},
                "load_average": round(os.getloadavg()[0], 1), "array-record": _version("array-record"),
            },
        )  # fmt: skip


def lossless(shards: Shards, rows: list[int], rounds: int) -> None:
    """Measure the lossless formats, and the checksums beside the decode of a JPEG."""
    jpegs = [shards.read(row) for row in rows]
    side = shards.preprocessing.width
    pictures = [Image.open(io.BytesIO(content)).resize((side, side), Image.Resampling.BILINEAR) for content in jpegs]
    settings: dict[str, dict[str, Any]] = {
        "PNG, level 1": {"format": "PNG", "compress_level": 1},
        "PNG, level 6": {"format": "PNG", "compress_level": 6},
        "WebP lossless, method 0": {"format": "WEBP", "lossless": True, "method": 0, "quality": 0},
        "BMP": {"format": "BMP"},
    }
    encoded: dict[str, list[bytes]] = {"JPEG (to train on)": jpegs}
    for name, how in settings.items():
        for picture in pictures:
            content = io.BytesIO()
            picture.save(content, **how)
            encoded.setdefault(name, []).append(content.getvalue())
    steps: dict[str, Callable[[bytes], object]] = {
        "decode": decode, "crc32": zlib.crc32, "sha256": lambda content: hashlib.sha256(content).digest(),
    }  # fmt: skip
    times: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for name, contents in encoded.items():
            for what, step in steps.items():
                started = perf_counter()
                for content in contents:
                    step(content)
                times.setdefault((name, what), []).append((perf_counter() - started) / len(contents) * 1e3)
    for name, contents in encoded.items():
        exact = name in settings and all(
            (decode(content) == np.asarray(picture)).all() for content, picture in zip(contents, pictures, strict=True)
        )
        keep(
            "shard_formats",
            {
                "pictures": name, "exact": exact, "photographs": len(contents), "rounds": rounds,
                "mean_bytes": round(sum(map(len, contents)) / len(contents)),
                "ms": {what: round(statistics.median(times[name, what]), 4) for what in steps},
            },
        )  # fmt: skip


def main() -> None:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", type=Path)
    parser.add_argument("--photographs", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    shards = open_shards(args.shards)
    rows = shards.rows("train")[: args.photographs].tolist()
    with tempfile.TemporaryDirectory() as folder:
        formats(shards, rows, args.rounds, Path(folder))
    lossless(shards, rows[:200], args.rounds)


if __name__ == "__main__":
    main()
