"""Keras on whichever backend was asked for: started quietly, seeded, with its precision and its devices."""

from __future__ import annotations

import os
import platform
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from edge_nima.errors import PackageMissing, RequestError
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


def start_keras() -> Any:
    """Import Keras on the backend of KERAS_BACKEND ("tensorflow" without it).

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
        return keras
    except ImportError as error:
        raise _missing((error.name or str(error)).split(".")[0]) from error


def _chosen() -> str:
    name = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if name not in BACKENDS:
        raise RequestError(f"KERAS_BACKEND is '{name}'; possible: {', '.join(BACKENDS)}")
    return name


def _missing(package: str) -> PackageMissing:
    extra = package if package in ("jax", "torch") else "'edge-nima[train]'"
    return PackageMissing(f"train needs {package}: pip install {extra}")


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
        there = keras.distribution.list_devices()
        if run.devices > len(there):
            raise RequestError(f"run.devices is {run.devices}; JAX sees {len(there)}")
        if run.devices > 1:
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
