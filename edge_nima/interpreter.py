"""The one door to LiteRT (and, where only that exists, tflite-runtime); the integer arithmetic at its two ends."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_nima.decode import Pixels
from edge_nima.distribution import BINS
from edge_nima.errors import CardError, ModelError, PackageMissing, reason
from edge_nima.pixels import LAYOUTS, Preprocessing
from edge_nima.stderr import filtered_stderr


class Runtime(Protocol):
    """The methods of a TFLite interpreter that are called here; a test's fake has the same."""

    def allocate_tensors(self) -> None: ...  # noqa: D102
    def get_input_details(self) -> list[dict[str, Any]]: ...  # noqa: D102
    def get_output_details(self) -> list[dict[str, Any]]: ...  # noqa: D102
    def set_tensor(self, index: int, value: NDArray[Any]) -> None: ...  # noqa: D102
    def get_tensor(self, index: int) -> NDArray[Any]: ...  # noqa: D102
    def invoke(self) -> None: ...  # noqa: D102


OpenRuntime = Callable[[bytes, int], Runtime]
"""Model file and number of threads to an interpreter."""


def runtime_name() -> str:
    """Package and version of the runtime in use, such as "ai-edge-litert 2.3.0".

    Raises:
        PackageMissing: none is installed.
    """
    from importlib.metadata import PackageNotFoundError, version

    package: str = _interpreter_class().__module__.split(".")[0].replace("_", "-")
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:  # put beside the program by hand, or built from source
        return package


def open_runtime(model: bytes, threads: int) -> Runtime:
    """Open the installed TFLite runtime on a model.

    Raises:
        PackageMissing: none is installed.
        ModelError: the runtime refuses the file.
    """
    make = _interpreter_class()
    try:
        with filtered_stderr(b"INFO: "):  # the runtime announces its XNNPACK delegate
            runtime: Runtime = make(model_content=model, num_threads=threads)
            runtime.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"not a model that {runtime_name()} can open: {reason(error)}") from error
    return runtime


def open_transparent(model: bytes) -> Any:
    """Open LiteRT's own reference kernels on a model, every intermediate tensor kept; slow, for looking inside.

    Raises:
        PackageMissing: LiteRT is not installed; tflite-runtime does not offer it.
        ModelError: the runtime refuses the file.
    """
    try:
        from ai_edge_litert import interpreter as litert
    except ImportError as error:
        raise PackageMissing("looking inside a model needs LiteRT: pip install ai-edge-litert") from error
    plain = litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        runtime = litert.Interpreter(
            model_content=model, experimental_op_resolver_type=plain, experimental_preserve_all_tensors=True
        )
        runtime.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"not a model that {runtime_name()} can open: {reason(error)}") from error
    return runtime


def _interpreter_class() -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter as LiteRt
    except (ImportError, SystemError, AttributeError) as litert:  # the last two from wheels for another NumPy
        try:
            from tflite_runtime.interpreter import Interpreter as TfLite
        except (ImportError, SystemError, AttributeError) as tflite:
            raise PackageMissing(_missing(litert, tflite)) from tflite
        if _numpy_2():  # it imports all the same, and fails on its first model with a page of advice on stderr
            raise PackageMissing(_NOT_WITH_NUMPY_2.format(np.__version__)) from litert
        return TfLite
    return LiteRt


_NOT_WITH_NUMPY_2 = "tflite-runtime does not work with NumPy {}: pip install 'numpy<2'"


def _numpy_2() -> bool:
    return bool(np.lib.NumpyVersion(np.__version__) >= "2.0.0")


def _missing(litert: BaseException, tflite: BaseException) -> str:
    here = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    if isinstance(litert, ModuleNotFoundError) and isinstance(tflite, ModuleNotFoundError):
        small = platform.machine() in {"armv6l", "armv7l"}
        package = "'edge-nima[tflite]' (Python 3.11 at most)" if small else "ai-edge-litert"
        return f"no TFLite runtime on {here}: pip install {package}"
    if not isinstance(tflite, ModuleNotFoundError) and _numpy_2():
        return _NOT_WITH_NUMPY_2.format(np.__version__)
    broken = tflite if isinstance(litert, ModuleNotFoundError) else litert
    return f"the TFLite runtime does not load on {here}: {reason(broken)}"


_SUM_TOLERANCE = BINS * 0.5 / 256 + 0.001


_FEWEST_LEVELS = 160
"""Of 256. An integer input's own range leaves nearly all of them apart; [0, 1] in one of [-1, 1], or reversed, half."""


def fitted(
    model: bytes, how: Preprocessing, layout: str | None = None, open_model: OpenRuntime = open_runtime
) -> Preprocessing:
    """A preprocessing with what a model's file says of its input: width, height, layout, and where it is scaled.

    Args:
        model: a whole .tflite file.
        how: the rest, which no file says.
        layout: "NHWC" or "NCHW"; needed where the shape leaves it open.

    Raises:
        ModelError: not a .tflite, or not one picture of three channels.
        CardError: `layout` is missing or another than the file's, or integers hold another range than that of `how`.
    """
    details = _open(model, 1, open_model)[1]
    shape = tuple(int(n) for n in details["shape"])
    layouts = [layout for layout in LAYOUTS if len(shape) == 4 and shape[0] == 1 and shape[layout.index("C")] == 3]
    if not layouts:
        raise ModelError(f"a scorer takes (1, height, width, 3) or (1, 3, height, width), this model {shape}")
    if layout not in layouts and (layout is not None or len(layouts) > 1):
        raise CardError(f"layout is {layout or 'not stated'}, and the file's input is {' or '.join(layouts)}")
    layout = layout or layouts[0]
    height, width = (shape[layout.index(axis)] for axis in "HW")
    dtype, (step, zero_point) = np.dtype(details["dtype"]), details["quantization"]
    scaling = "graph" if dtype == np.uint8 and not step > 0 else "host"
    how = replace(how, width=width, height=height, layout=layout, scaling=scaling)
    table = _input_table(details, how)
    levels = 256 if table is None else min(len(np.unique(row)) for row in table)
    if levels < _FEWEST_LEVELS:
        low, high = ((limit - zero_point) * step for limit in (np.iinfo(dtype).min, np.iinfo(dtype).max))
        raise CardError(
            f"its integer input holds {low:.4g} to {high:.4g}, of which the stated range uses {levels} values: "
            "state --set input_range=LOW,HIGH as it was trained"
        )
    return how


class InputTensor:
    """A model's input: pixels written to it, and what the tensor then holds. Its buffers are made once."""

    def __init__(self, details: dict[str, Any], how: Preprocessing) -> None:
        """Take what the runtime says of the input.

        Raises:
            ModelError: its type does not fit the card.
        """
        table = _input_table(details, how)
        planes = how.layout == "NCHW"
        self.shape = (1, 3, how.height, how.width) if planes else (1, how.height, how.width, 3)
        self.pixels: Pixels = np.zeros((how.height, how.width, 3), np.uint8)
        """Where the next picture is written: channels last, in the card's channel order."""
        self._laid = self.pixels.transpose(2, 0, 1) if planes else self.pixels
        self._table = None if table is None else table.ravel()
        self._values = self.pixels[None] if table is None and not planes else np.zeros(self.shape, details["dtype"])
        starts = np.arange(3) * 256 if table is not None and len(table) == 3 else np.zeros(3, np.intp)
        self._starts = starts[:, None, None] if planes else starts
        self._places = None if table is None else np.zeros(self.shape[1:], np.intp)

    def values(self) -> NDArray[Any]:
        """What the tensor holds of `pixels`; the same array every time."""
        if self._table is not None and self._places is not None:
            np.add(self._laid, self._starts, out=self._places)
            np.take(self._table, self._places, out=self._values[0], mode="clip")  # in mode "raise" it is buffered
        elif self._laid is not self.pixels:
            self._values[0] = self._laid
        return self._values


def _open(model: bytes, threads: int, open_model: OpenRuntime) -> tuple[Runtime, dict[str, Any], dict[str, Any]]:
    """A runtime, and what it says of its input and of its output."""
    if model[4:8] != b"TFL3":
        raise ModelError("not a .tflite: the file does not have its signature TFL3")
    runtime = open_model(model, threads)
    inputs, outputs = runtime.get_input_details(), runtime.get_output_details()
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(f"a scorer has 1 input and 1 output, this model has {len(inputs)} and {len(outputs)}")
    return runtime, inputs[0], outputs[0]


class Interpreter:
    """A model opened once, its buffers reused: uint8 pixels in, ten proportions out.

    The only place where a scale and a zero point are used.
    """

    def __init__(self, model: bytes, how: Preprocessing, threads: int, open_model: OpenRuntime = open_runtime) -> None:
        """Open a model.

        Args:
            model: a whole .tflite file.
            how: the preprocessing of its card.
            threads: processor threads, at least 1.
            open_model: makes the runtime.

        Raises:
            ModelError: not a .tflite, or not one picture in and ten proportions out.
        """
        self._runtime, self._in, self._out = _open(model, threads, open_model)
        shapes = tuple(int(n) for n in self._in["shape"]), tuple(int(n) for n in self._out["shape"])
        self._input = InputTensor(self._in, how)
        if shapes != (self._input.shape, (1, BINS)):
            one = "; one number is no histogram" if np.prod(shapes[1]) == 1 else ""
            raise ModelError(
                f"a scorer maps {self._input.shape} to {(1, BINS)} (its card says {how.width}x{how.height}), "
                f"this model maps {shapes[0]} to {shapes[1]}{one}"
            )
        self.pixels = self._input.pixels
        """Where the next picture is written before `run`."""

    def run(self) -> NDArray[np.float64]:
        """Score what `pixels` holds.

        Returns:
            float64, shape (10,), a distribution over the ratings 1..10.

        Raises:
            ModelError: what comes out is no distribution.
        """
        self._runtime.set_tensor(self._in["index"], self._input.values())
        self._runtime.invoke()
        return self._distribution(self._runtime.get_tensor(self._out["index"])[0])

    def invoke(self) -> None:
        """The bare runtime on whatever it holds: what `benchmarks/` divides by."""
        self._runtime.invoke()

    def _distribution(self, raw: NDArray[Any]) -> NDArray[np.float64]:
        p = raw.astype(np.float64)  # widened before subtracting: int8 minus a zero point of -128 wraps round
        if raw.dtype.kind in "iu":
            scale, zero_point = self._out["quantization"]
            p = (p - zero_point) * scale
        return proportions(p)


def proportions(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """A model's output as a distribution, divided by its sum.

    A quantised softmax rounds each of the ten to 1/256, also when its output is then widened to float32: the sum is off
    by .02 at most, and dividing by it costs less than leaving it (.007 against .018 of the mean).

    Args:
        p: shape (10,), what the model gave, its scale and zero point already applied.

    Raises:
        ModelError: a value is not finite or negative, or the sum is further from 1 than rounding explains.
    """
    total, least = float(p.sum()), float(p.min())
    if not (least >= -1e-6 and abs(total - 1) <= _SUM_TOLERANCE):  # written so that what is not finite is none
        raise ModelError(
            f"the model's output is not a distribution: it sums to {total:.4g}, smallest value {least:.4g}; "
            "a NIMA scorer ends in a softmax over ten ratings"
        )
    if least < 0:  # a rounding error below 0 is no share of anybody
        p = np.maximum(p, 0)
        total = float(p.sum())
    return p / total


def _input_table(details: dict[str, Any], how: Preprocessing) -> NDArray[Any] | None:
    """What levels 0..255 become for the model, shape (1, 256) or, by channel, (3, 256); None for bytes as they are."""
    dtype = np.dtype(details["dtype"])
    if how.scaling == "graph":
        if dtype != np.uint8:
            raise ModelError(f"the card says that scaling is in the graph, but the model's input is {dtype}, not uint8")
        return None
    scale, offset = (np.atleast_1d(np.asarray(factor, np.float64))[:, None] for factor in (how.scale, how.offset))
    scaled = np.arange(256) * scale + offset
    if dtype == np.float32:
        return scaled.astype(np.float32)
    if dtype not in (np.dtype(np.uint8), np.dtype(np.int8)):
        raise ModelError(f"the model's input is {dtype}; possible: uint8, int8, float32")
    step, zero_point = details["quantization"]
    if not step > 0:
        raise ModelError(f"the model's {dtype} input has no quantisation scale; its card must say scaling: graph")
    limits = np.iinfo(dtype)
    table: NDArray[Any] = np.clip(np.rint(scaled / step) + zero_point, limits.min, limits.max).astype(dtype)
    return table
