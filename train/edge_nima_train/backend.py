"""Keras on whichever backend was asked for: started quietly, seeded, with its precision and its devices."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from edge_nima.errors import PackageMissing, RequestError, reason
from edge_nima.scorer import available_cores
from edge_nima.stderr import caught_stderr
from edge_nima_train.config import Run

BACKENDS = ("tensorflow", "jax", "torch")


def check_installed() -> None:
    """Refuse before any work what `start_keras` would refuse, without its seconds.

    Raises:
        RequestError: no such backend.
        PackageMissing: something that training takes is not installed.
    """
    for package in ("keras", _chosen(), "tensorboardX", "matplotlib"):
        if find_spec(package) is None:
            raise _missing(package)


def start_keras(of: str = "train") -> Any:
    """Import Keras on the backend of KERAS_BACKEND ("tensorflow" without it).

    What keras.json says of the order of axes and of floats is put aside: pictures are (n, height, width, 3) here, and
    a run states its precision.

    Args:
        of: what needs it, for messages.

    Raises:
        RequestError: no such backend.
        PackageMissing: Keras or the backend is not installed.
    """
    name = _chosen()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        # TensorFlow tells of the CUDA that it does not find, when it is imported and when it is first used.
        with caught_stderr():
            import_module(name)
            keras: Any = import_module("keras")
            keras.ops.zeros(1)
            if find_spec("tensorflow"):
                import_module("tensorflow")  # Keras does so at the first batch, on any backend
    except ImportError as error:
        raise _missing((error.name or str(error)).split(".")[0], of) from error
    keras.config.set_image_data_format("channels_last")
    if keras.config.floatx() != "float32":
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
    return keras


def start_tensorflow() -> Any:
    """Import Keras on TensorFlow, whatever KERAS_BACKEND says, for conversion.

    Raises:
        RequestError: this process has imported Keras on another backend.
        PackageMissing: Keras or TensorFlow is not installed.
    """
    keras = sys.modules.get("keras")
    there = keras.config.backend() if keras is not None else "tensorflow"
    if there != "tensorflow":
        raise RequestError(
            f"Keras runs on {there} in this process and conversion needs TensorFlow: set KERAS_BACKEND=tensorflow, or "
            "convert in a process of its own"
        )
    os.environ["KERAS_BACKEND"] = "tensorflow"
    return start_keras("convert")


@contextlib.contextmanager
def float32_policy() -> Iterator[None]:
    """New layers compute in float32 while the block runs."""
    import keras

    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


def cause(error: BaseException, most: int = 300) -> str:
    """Why TensorFlow, Keras or a file failed, on one line: their messages hold whole configurations before that."""
    text = reason(error)
    for mark in ("Exception encountered: ", "Error: "):
        text = text.rpartition(mark)[2]
    rest = r"\.? ?(?:Full object config|using config=|\[\[|\{\{node|Please ensure|Make sure)"
    text = re.split(rest, text)[0].strip() or reason(error)
    if isinstance(error, KeyError | AttributeError | IndexError | AssertionError):
        text = f"{type(error).__name__}: {text}"
    return text if len(text) <= most else text[: most - 1] + "…"


def _chosen() -> str:
    name = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if name not in BACKENDS:
        raise RequestError(f"KERAS_BACKEND is '{name}'; possible: {', '.join(BACKENDS)}")
    return name


def _missing(package: str, of: str = "train") -> PackageMissing:
    extra = package if package in ("jax", "torch") else f"'edge-nima[{of}]'"
    return PackageMissing(f"{of} needs {package}: pip install {extra}")


def prepare(run: Run) -> None:
    """Seed everything, make operations repeatable, choose precision and devices. Before any network is built.

    Raises:
        RequestError: more devices than there are, or more than one on another backend than JAX.
    """
    keras = start_keras()
    keras.utils.set_random_seed(run.seed)
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        # On a GPU TensorFlow refuses, when told so, what MobileNet's depthwise gradients and frozen normalisation need.
        if not has_gpu():
            tf.config.experimental.enable_op_determinism()
    keras.mixed_precision.set_dtype_policy(run.precision)
    if run.devices > 1 and backend != "jax":
        # MultiWorkerMirroredStrategy does not work with Keras 3 (keras#20585), and torch's needs a launcher.
        raise RequestError(f"run.devices is {run.devices}; with KERAS_BACKEND={backend} possible: 1 (more: jax)")
    if backend == "jax":
        import jax

        there = keras.distribution.list_devices()
        if run.devices > jax.local_device_count():
            raise RequestError(f"run.devices is {run.devices}; JAX sees {jax.local_device_count()}")
        # Over several processes a step alone is distributed: the rest is each process's own.
        if run.devices > 1 and jax.process_count() == 1:
            keras.distribution.set_distribution(keras.distribution.DataParallel(devices=there[: run.devices]))


def has_gpu() -> bool:
    """Whether TensorFlow, as the backend, sees one."""
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def environment() -> dict[str, Any]:
    """What a run ran on: versions, machine, backend and its devices."""
    keras = start_keras()
    backend = keras.backend.backend()
    versions = {}
    for package in ("edge-nima", "keras", backend, "numpy", "pillow"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "unknown"
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": processor(),
        "cores": available_cores(),
        "backend": backend,
        "devices": _devices(keras, backend),
        "versions": versions,
    }


def processor() -> str:
    """The processor's name."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _devices(keras: Any, backend: str) -> list[str]:
    if backend == "torch":
        import torch

        return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] or ["cpu"]
    return [str(device) for device in keras.distribution.list_devices()]
