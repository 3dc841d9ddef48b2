"""Training: packing, photographs into training from shards, containers and lossless formats, the optimisation step."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
import statistics
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.harness import EDGE_NIMA, ROOT, Bench, Missing, measured_process, median
from edge_nima.scorer import available_cores

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
BATCH, SIDE = 96, 224
Read = Callable[[int], bytes]


def run(bench: Bench) -> None:
    """Measure and keep."""
    if find_spec("edge_nima_train") is None or find_spec("keras") is None:
        raise Missing("needs edge-nima[train]")
    collection = "oasis_beauty" if bench.quick else "biq2021"
    labels = bench.photographs(collection) / "labels.csv"
    with tempfile.TemporaryDirectory() as folder:
        packed = Path(folder) / "shards"
        command = [EDGE_NIMA, "data", "pack", labels, "--images", labels.parent / "images", "--out", packed]
        seconds, mib, _ = measured_process(command)
        with open(labels, encoding="utf-8", newline="") as file:
            photographs = sum(1 for _ in csv.DictReader(file))
        bench.keep("pack", [photographs / seconds], "photographs/s", peak_mib=mib, photographs=photographs)
        from edge_nima_train.shards import open_shards

        shards = open_shards(packed)
        pipeline(bench, shards)
        containers(bench, shards)
        lossless(bench, shards)
    steps(bench)


def pipeline(bench: Bench, shards: Any) -> None:
    """Photographs a second into training: our loader, Grain where it is, Keras' image_dataset_from_directory.

    Loader and Grain give the same crops, with one and with two processes, up to one a core; what starting costs is not
    counted. Keras reads the same JPEGs out of a folder, without crops.
    """
    from edge_nima_train.order import plan_epoch

    rows = shards.rows("train")
    plan = plan_epoch(0, 2, 0, rows, batch=BATCH, slack=shards.size - SIDE)
    ways: dict[tuple[str, int], Callable[[], Iterator[Any]]] = {}
    for workers in sorted({1, 2, available_cores()}):
        ways["loader", workers] = partial(_loader, shards, plan, workers)
        if find_spec("grain"):
            ways["grain", workers] = partial(_grain, shards, plan, workers)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "all"
        folder.mkdir()
        for row in rows.tolist():
            (folder / f"{row:06}.jpg").write_bytes(shards.read(row))
        ways["image_dataset_from_directory", 0] = partial(_keras, folder.parent)
        rates: dict[tuple[str, int], list[float]] = {way: [] for way in ways}
        for _ in range(bench.rounds(5, 1)):
            for way, batches in ways.items():
                rates[way].append(_rate(batches()))
    for (way, workers), values in rates.items():
        processes = {"processes": workers} if workers else {}
        bench.keep("input pipeline", values, "photographs/s", way=way, **processes, photographs=len(plan), batch=BATCH)


def containers(bench: Bench, shards: Any) -> None:
    """Random access and Pillow's decode of the same JPEGs from tar, ArrayRecord, TFRecord, loose files and memory.

    "tar" is our reader (one `pread` by the index, CRC-32 checked), ArrayRecord its own, where it is installed. TFRecord
    is tf.data's, in the file's order: it has no random access. Each round goes through all, in an order of its own.
    Processor time beside the clock's: it does not count what others do meanwhile.
    """
    rows = shards.rows("train")[: 200 if bench.quick else 2000].tolist()
    contents = [shards.read(row) for row in rows]
    rates: dict[tuple[str, str, int], list[float]] = {}
    processor: dict[tuple[str, str, int], list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        readers: dict[str, Read] = {
            "tar": lambda place: shards.read(rows[place]),
            "loose files": _loose(contents, Path(name)),
            "memory": contents.__getitem__,
        }
        if find_spec("array_record"):
            readers["ArrayRecord"] = _array_record(contents, Path(name))
        records = _tf_record(contents, Path(name)) if find_spec("tensorflow") else None
        random = np.random.default_rng(0)
        work: dict[str, Callable[[bytes], object]] = {"read": len, "read and decode": _decode}
        for _ in range(bench.rounds(5, 1)):
            order = random.permutation(len(rows)).tolist()
            for (what, finish), threads in product(work.items(), (1, 2)):
                for container in random.permutation([*readers, *(["TFRecord, in order"] if records else [])]).tolist():
                    if container in readers:
                        go = partial(_by_row, readers[container], order, threads, finish)
                    elif records is not None:
                        go = partial(_in_order, threading.Lock(), records(), finish)
                    rate, used = _measured(len(rows), threads, go)
                    rates.setdefault((container, what, threads), []).append(rate)
                    processor.setdefault((container, what, threads), []).append(used)
    size = round(statistics.mean(map(len, contents)))
    for (container, what, threads), values in rates.items():
        used = processor[container, what, threads]
        bench.keep("containers", values, "photographs/s", threads, format=container, work=what, photographs=len(rows),
                   mean_bytes=size, processor_ms={"p50": median(used), "least": round(min(used), 4)})  # fmt: skip


def lossless(bench: Bench, shards: Any) -> None:
    """Lossless formats of the model's input, beside the JPEGs to train on: size, decoding, two checksums."""
    jpegs = [shards.read(row) for row in shards.rows("train")[: 40 if bench.quick else 200].tolist()]
    side = shards.preprocessing.width
    pictures = [Image.open(io.BytesIO(content)).resize((side, side), Image.Resampling.BILINEAR) for content in jpegs]
    settings: dict[str, dict[str, Any]] = {
        "PNG, level 1": {"format": "PNG", "compress_level": 1},
        "PNG, level 6": {"format": "PNG", "compress_level": 6},
        "WebP lossless, method 0": {"format": "WEBP", "lossless": True, "method": 0, "quality": 0},
        "BMP": {"format": "BMP"},
    }
    encoded = {name: [_encoded(picture, how) for picture in pictures] for name, how in settings.items()}
    for name, content in encoded.items():
        assert all((_decode(a) == np.asarray(b)).all() for a, b in zip(content, pictures, strict=True)), name
    jobs: dict[str, Callable[[bytes], object]] = {
        "decode": _decode, "crc32": zlib.crc32, "sha256": lambda content: hashlib.sha256(content).digest(),
    }  # fmt: skip
    times: dict[tuple[str, str], list[float]] = {}
    encoded["JPEG (to train on)"] = jpegs
    for _ in range(bench.rounds(5, 1)):
        for (name, contents), (what, job) in product(encoded.items(), jobs.items()):
            started = perf_counter()
            for content in contents:
                job(content)
            times.setdefault((name, what), []).append((perf_counter() - started) / len(contents) * 1e3)
    for (name, what), values in times.items():
        size = round(statistics.mean(map(len, encoded[name])))
        bench.keep("lossless", values, pictures=name, work=what, photographs=len(jpegs), mean_bytes=size)


def steps(bench: Bench) -> None:
    """`train bench`: the step, the loader and both. On a GPU the cells that matter, elsewhere one of them, small."""
    config = ROOT / "train" / "configs" / "ava_mobilenet_best.toml"
    gpu = shutil.which("nvidia-smi") is not None
    pictures, seconds = (64, 0.5) if bench.quick else (20_000, 5.0) if gpu else (500, 5.0)
    cells = product(("jax", "tensorflow"), (96, 256), ("float32", "mixed_bfloat16"), ("jit", "no-jit"))
    for backend, batch, precision, jit in cells if gpu else [("tensorflow", 16, "float32", "no-jit")]:
        if (backend, jit) == ("jax", "no-jit"):
            continue  # JAX always compiles
        _, mib, said = measured_process([
            "env", f"KERAS_BACKEND={backend}", EDGE_NIMA, "train", "bench", config, "--json", f"--{jit}", "--synthetic",
            str(pictures), "--seconds", str(seconds), "--set", f"phase2.batch={batch}", "--set",
            f"run.precision={precision}",
        ])  # fmt: skip
        bench.keep("steps", peak_mib=mib, backend=backend, jit=jit == "jit", **json.loads(said))


def _rate(batches: Iterator[Any]) -> float:
    next(batches)
    began, done = perf_counter(), 0
    for batch in batches:
        done += len(batch)
    return done / (perf_counter() - began)


def _loader(shards: Any, plan: Any, workers: int) -> Iterator[Any]:
    from edge_nima_train.loader import Loader

    with Loader(shards, BATCH, workers) as loader:
        yield from loader.batches(plan, SIDE, BATCH)


class _Make:
    """Batch number to pixels, for Grain."""

    def __init__(self, places: list[Any], plan: Any) -> None:
        self.places, self.plan = places, plan

    def __call__(self, number: int) -> np.ndarray:
        from edge_nima_train.loader import decode
        from edge_nima_train.shards import read_place

        out = np.empty((BATCH, SIDE, SIDE, 3), np.uint8)
        for i, at in enumerate(range(number * BATCH, (number + 1) * BATCH)):
            left, top = self.plan.left[at], self.plan.top[at]
            out[i] = decode(read_place(self.places[at]))[top : top + SIDE, left : left + SIDE]
        return out


def _grain(shards: Any, plan: Any, workers: int) -> Iterator[Any]:
    import grain
    from absl import flags

    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["benchmarks"])  # Grain's workers want them
    make = _Make([shards.place(int(row)) for row in plan.rows], plan)
    read = grain.ReadOptions(num_threads=1, prefetch_buffer_size=2)
    dataset = grain.MapDataset.range(len(plan) // BATCH).map(make).to_iter_dataset(read)
    yield from dataset.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2))


def _keras(folder: Path) -> Iterator[Any]:
    import keras

    data = keras.utils.image_dataset_from_directory(
        folder, labels=None, batch_size=BATCH, image_size=(256, 256), shuffle=True, seed=0, verbose=False
    )
    for pictures in data:
        yield pictures.numpy()


def _decode(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def _encoded(picture: Image.Image, how: dict[str, Any]) -> bytes:
    content = io.BytesIO()
    picture.save(content, **how)
    return content.getvalue()


def _loose(contents: list[bytes], folder: Path) -> Read:
    for row, content in enumerate(contents):
        (folder / f"{row}.jpg").write_bytes(content)
    return lambda row: (folder / f"{row}.jpg").read_bytes()


def _array_record(contents: list[bytes], folder: Path) -> Read:
    """A reader by row, with the settings that its documentation names for random access."""
    from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter

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


def _tf_record(contents: list[bytes], folder: Path) -> Callable[[], Iterator[bytes]]:
    """All records in the file's order, by tf.data."""
    import tensorflow as tf

    path = str(folder / "all.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        for content in contents:
            writer.write(content)
    return lambda: tf.data.TFRecordDataset(path, buffer_size=1 << 20).prefetch(64).as_numpy_iterator()


def _measured(n: int, threads: int, go: Callable[[int], None]) -> tuple[float, float]:
    """Run `go` in each thread: photographs a second, processor milliseconds of one."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(str, range(threads)))  # the threads are there before the clock starts
        started, used = perf_counter(), process_time()
        list(pool.map(go, range(threads)))
        return n / (perf_counter() - started), (process_time() - used) / n * 1e3


def _by_row(read: Read, order: list[int], threads: int, finish: Callable[[bytes], object], thread: int) -> None:
    for row in order[thread::threads]:
        finish(read(row))


def _in_order(lock: threading.Lock, records: Iterator[bytes], finish: Callable[[bytes], object], thread: int) -> None:
    while True:
        with lock:
            content = next(records, None)
        if content is None:
            return
        finish(content)
