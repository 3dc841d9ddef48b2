from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading
import types
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_nima.distribution import mean_rating
from edge_nima.errors import CardError, ModelError, PackageMissing
from edge_nima.interpreter import Interpreter, Runtime, fitted, open_runtime, proportions, runtime_name
from edge_nima.pixels import Preprocessing
from edge_nima.scorer import load_model
from fakes import RAMP, TFLITE, FakeOpener, FakeRuntime

GRAPH = Preprocessing(width=16, height=16)
HOST = Preprocessing(width=16, height=16, scaling="host")
EVERY_VALUE = np.arange(768, dtype=np.int64).astype(np.uint8).reshape(16, 16, 3)


def opened(how: Preprocessing = GRAPH, **runtime: Any) -> tuple[Interpreter, FakeRuntime]:
    opener = FakeOpener(how=how, **runtime)
    interpreter = Interpreter(TFLITE, how, 1, opener)
    return interpreter, opener.made[0]


def refused(make: Callable[[], Any]) -> str:
    with pytest.raises(ModelError) as caught:
        make()
    text = str(caught.value)
    assert text
    assert "\n" not in text
    return text


def test_the_fake_has_every_method_of_the_protocol() -> None:
    for name in (name for name in vars(Runtime) if not name.startswith("_")):
        assert callable(getattr(FakeRuntime, name))


# What goes in


def seen_by(how: Preprocessing, **runtime: Any) -> NDArray[Any]:
    """What the model gets for a picture that holds every value 0..255."""
    interpreter, fake = opened(how, **runtime)
    interpreter.pixels[:] = EVERY_VALUE
    interpreter.run()
    return fake.seen[0][0]


def test_a_graph_that_scales_gets_the_bytes_as_they_are() -> None:
    assert np.array_equal(seen_by(GRAPH), EVERY_VALUE)


@pytest.mark.parametrize(("scale", "offset"), [(1 / 127.5, -1.0), (1 / 255, 0.0), (1.0, 0.0), (-0.5, 3.25)])
def test_a_float_model_gets_each_value_scaled_exactly(scale: float, offset: float) -> None:
    got = seen_by(replace(HOST, scale=scale, offset=offset), input_dtype=np.float32)
    wanted = np.array([np.float32(int(p) * scale + offset) for p in EVERY_VALUE.ravel()])
    assert np.array_equal(got.ravel(), wanted)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize(
    ("scale", "zero_point"), [(1 / 127.5, -1), (1 / 127.5, 127), (0.0078125, 0), (0.004, 5), (0.02, -128)]
)
def test_a_quantised_input_is_the_formula_for_every_value(dtype: Any, scale: float, zero_point: int) -> None:
    got = seen_by(HOST, input_dtype=dtype, input_quantization=(scale, zero_point))
    low, high = (-128, 127) if dtype is np.int8 else (0, 255)
    for value, pixel in zip(got.ravel().tolist(), EVERY_VALUE.ravel().tolist(), strict=True):
        x = pixel * HOST.scale + HOST.offset
        assert value == min(max(round(x / scale) + zero_point, low), high)


CHANNELS = replace(HOST, scale=(0.01, 0.02, -0.03), offset=(0.0, -1.0, 2.0))
TYPES: list[dict[str, Any]] = [
    {"input_dtype": np.float32},
    {"input_dtype": np.int8, "input_quantization": (0.05, -3)},
    {"input_dtype": np.uint8, "input_quantization": (0.05, 130)},
]


@pytest.mark.parametrize("runtime", TYPES, ids=lambda runtime: str(np.dtype(runtime["input_dtype"])))
@pytest.mark.parametrize("how", [CHANNELS, replace(HOST, scale=(0.01, 0.02, -0.03))], ids=["both", "scale"])
def test_each_channel_has_its_own_factors_in_either_layout(how: Preprocessing, runtime: dict[str, Any]) -> None:
    wanted = EVERY_VALUE * np.array(how.scale) + np.array(how.offset)
    dtype = runtime["input_dtype"]
    if dtype is not np.float32:
        step, zero_point = runtime["input_quantization"]
        limits = np.iinfo(dtype)
        wanted = np.clip(np.rint(wanted / step) + zero_point, limits.min, limits.max)
    assert np.array_equal(seen_by(how, **runtime), wanted.astype(dtype))
    planes = seen_by(replace(how, layout="NCHW"), input_shape=(1, 3, 16, 16), **runtime)
    assert np.array_equal(planes, wanted.astype(dtype).transpose(2, 0, 1))


def test_planes_of_bytes_reach_a_graph_that_scales() -> None:
    planes = seen_by(replace(GRAPH, layout="NCHW"), input_shape=(1, 3, 16, 16))
    assert np.array_equal(planes, EVERY_VALUE.transpose(2, 0, 1))


def fit(layout: str | None = None, **runtime: Any) -> Preprocessing:
    return fitted(TFLITE, Preprocessing(), layout, FakeOpener(how=GRAPH, **runtime))


def test_a_preprocessing_is_fitted_to_what_the_file_says() -> None:
    assert fit(input_shape=(1, 20, 30, 3)) == Preprocessing(width=30, height=20)
    assert fit(input_shape=(1, 3, 20, 30), input_dtype=np.float32) == Preprocessing(
        width=30, height=20, layout="NCHW", scaling="host"
    )
    assert fit(input_dtype=np.uint8, input_quantization=(1 / 127.5, 127)).scaling == "host"
    assert fit("NCHW", input_shape=(1, 3, 5, 3)) == Preprocessing(width=3, height=5, layout="NCHW")
    with pytest.raises(CardError, match="layout is not stated, and the file's input is NHWC or NCHW"):
        fit(input_shape=(1, 3, 5, 3))
    with pytest.raises(CardError, match="holds 0 to 1, of which the stated range uses 129 values"):
        fit(input_dtype=np.uint8, input_quantization=(1 / 255, 0))
    for shape in ((1, 20, 30, 1), (2, 20, 30, 3), (1, 2700)):
        assert f"this model {shape}" in refused(lambda shape=shape: fit(input_shape=shape))


def test_a_quantised_input_is_clipped_and_does_not_wrap() -> None:
    got = seen_by(replace(HOST, scale=1.0, offset=-10.0), input_dtype=np.int8, input_quantization=(1.0, 0))
    assert got.ravel()[:2].tolist() == [-10, -9]
    assert got.ravel()[200] == 127


def test_buffers_are_made_once() -> None:
    cases: list[tuple[Preprocessing, dict[str, Any]]] = [
        (GRAPH, {}),
        (HOST, {"input_dtype": np.float32}),
        (HOST, {"input_dtype": np.int8, "input_quantization": (1 / 127.5, 0)}),
        (replace(CHANNELS, layout="NCHW"), {"input_dtype": np.float32, "input_shape": (1, 3, 16, 16)}),
        (replace(GRAPH, layout="NCHW"), {"input_shape": (1, 3, 16, 16)}),
    ]
    for how, runtime in cases:
        interpreter, fake = opened(how, **runtime)
        pixels = interpreter.pixels
        for value in (0, 128, 255):
            interpreter.pixels[:] = value
            interpreter.run()
        assert interpreter.pixels is pixels
        assert len({id(given) for given in fake.given}) == 1
        assert len({seen.tobytes() for seen in fake.seen}) == 3


# What comes out


def out_of(answer: Any, **runtime: Any) -> NDArray[np.float64]:
    interpreter, _ = opened(answer=lambda _: np.asarray(answer), **runtime)
    return interpreter.run()


def test_a_float_distribution_comes_out_as_it_is() -> None:
    got = out_of(RAMP)
    assert got.dtype == np.float64
    assert got.shape == (10,)
    assert np.allclose(got, RAMP, atol=1e-7)


@pytest.mark.parametrize(("dtype", "zero_point"), [(np.int8, -128), (np.uint8, 0)])
def test_an_integer_output_is_widened_before_the_zero_point_is_taken_off(dtype: Any, zero_point: int) -> None:
    # 127 - (-128) is 255; in int8 it would be -1.
    answer = np.array([255, *[0] * 9]) + zero_point
    got = out_of(answer, output_dtype=dtype, output_quantization=(1 / 256, zero_point))
    assert got.tolist() == [1.0, *[0.0] * 9]


@pytest.mark.parametrize(("dtype", "zero_point"), [(np.int8, -128), (np.uint8, 0)])
def test_an_integer_output_sums_to_one_again(dtype: Any, zero_point: int) -> None:
    rounded = np.rint(RAMP * 256)
    assert rounded.sum() != 256
    got = out_of(rounded + zero_point, output_dtype=dtype, output_quantization=(1 / 256, zero_point))
    assert got.sum() == pytest.approx(1, abs=1e-12)
    assert np.allclose(got, rounded / rounded.sum(), atol=1e-12)


@pytest.mark.parametrize(
    "answer",
    [
        np.linspace(-4, 4, 10),  # logits
        np.linspace(0, 4, 10),
        np.zeros(10),
        np.array([np.nan, *[0.1] * 9]),
        np.full(10, np.nan),
        np.array([np.inf, *[0.0] * 9]),
        np.array([-0.1, 1.1, *[0.0] * 8]),
        np.full(10, 0.11),
        np.full(10, 0.09),
    ],
    ids=["logits", "positive logits", "zeros", "a nan", "nan", "inf", "negative", "too much", "too little"],
)
def test_an_output_that_is_no_distribution_is_refused(answer: NDArray[Any]) -> None:
    assert "not a distribution" in refused(lambda: out_of(answer))


def test_an_integer_output_that_is_no_distribution_is_refused() -> None:
    for answer in (np.full(10, -128), np.full(10, 127)):
        text = refused(lambda answer=answer: out_of(answer, output_dtype=np.int8, output_quantization=(1 / 256, -128)))
        assert "softmax" in text


# What is no scorer


@pytest.mark.parametrize(
    ("runtime", "told"),
    [
        ({"inputs": 2}, "2 and 1"),
        ({"outputs": 2}, "1 and 2"),
        ({"input_shape": (1, 224, 224, 3)}, "(1, 224, 224, 3)"),
        ({"input_shape": (1, 3, 16, 16)}, "(1, 3, 16, 16)"),
        ({"input_shape": (4, 16, 16, 3)}, "(4, 16, 16, 3)"),
        ({"output_shape": (1, 5)}, "(1, 5)"),
        ({"output_shape": (10,)}, "(10,)"),
        ({"output_shape": (1, 1)}, "to (1, 1); one number is no histogram"),
        ({"input_dtype": np.float32}, "float32, not uint8"),
        ({"input_dtype": np.int8, "input_quantization": (1 / 127.5, 0)}, "int8, not uint8"),
    ],
    ids=str,
)
def test_a_model_of_another_kind_is_refused(runtime: dict[str, Any], told: str) -> None:
    assert told in refused(lambda: opened(GRAPH, **runtime))


@pytest.mark.parametrize(
    ("runtime", "told"),
    [
        ({"input_dtype": np.float16}, "possible: uint8, int8, float32"),
        ({"input_dtype": np.int32, "input_quantization": (1.0, 0)}, "possible: uint8, int8, float32"),
        ({"input_dtype": np.uint8}, "scaling: graph"),
        ({"input_dtype": np.int8}, "quantisation scale"),
        ({"input_dtype": np.int8, "input_quantization": (float("nan"), 0)}, "quantisation scale"),
    ],
    ids=str,
)
def test_an_input_that_cannot_be_filled_is_refused(runtime: dict[str, Any], told: str) -> None:
    assert told in refused(lambda: opened(HOST, **runtime))


@pytest.mark.parametrize("content", [b"", b"TFL3", b"\x89PNG\r\n\x1a\n" + bytes(100), b"PK\x03\x04" + bytes(100)])
def test_what_is_no_tflite_never_reaches_the_runtime(content: bytes) -> None:
    opener = FakeOpener(how=GRAPH)
    assert "TFL3" in refused(lambda: Interpreter(content, GRAPH, 1, opener))
    assert not opener.made


def test_the_number_of_threads_reaches_the_runtime() -> None:
    opener = FakeOpener(how=GRAPH)
    Interpreter(TFLITE, GRAPH, 3, opener)
    assert opener.threads == [3]


# The real runtime


def test_the_bundled_model_gives_a_distribution_that_depends_on_the_picture() -> None:
    model = load_model()
    interpreter = Interpreter(model.content, model.card.preprocessing, 1)
    results = []
    for value in (0, 255, 0):
        interpreter.pixels[:] = value
        results.append(interpreter.run())
    assert results[0].sum() == pytest.approx(1, abs=1e-9)
    assert results[0].min() >= 0
    assert np.array_equal(results[0], results[2])
    assert not np.allclose(results[0], results[1], atol=1e-3)


def test_what_run_gave_stays_when_the_next_picture_is_scored() -> None:
    model = load_model()
    interpreter = Interpreter(model.content, model.card.preprocessing, 1)
    first = interpreter.run()
    kept = first.copy()
    interpreter.pixels[:] = 200
    interpreter.run()
    assert np.array_equal(first, kept)


def test_a_cut_tflite_is_one_line_and_no_crash() -> None:
    content = load_model().content
    for place in (8, 9, 20, 100, 5000, 100_000, len(content) // 2, len(content) * 9 // 10):
        text = refused(lambda place=place: Interpreter(content[:place], Preprocessing(), 1))
        assert runtime_name() in text


def test_a_tflite_signature_before_nonsense_is_one_line() -> None:
    noise = np.random.default_rng(0).bytes(10_000)
    refused(lambda: Interpreter(noise[:4] + b"TFL3" + noise, Preprocessing(), 1))


def test_the_runtime_is_named_with_its_version() -> None:
    package, version = runtime_name().split(" ")
    assert package in {"ai-edge-litert", "tflite-runtime"}
    assert version[0].isdigit()


# stderr


def run_python(code: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, **options)


SCORE = "from edge_nima import open_scorer\nimport numpy\nopen_scorer(threads=1).score(numpy.zeros((9, 9, 3), 'u1'))\n"


def test_opening_a_model_leaves_stderr_clean() -> None:
    done = run_python(SCORE + "import sys; print('mine', file=sys.stderr)")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "mine\n")


@pytest.mark.parametrize(
    "before",
    ["import os; os.close(2)\n", "import sys; sys.stderr = None\n", "import sys; sys.stderr.close()\n"],
    ids=["descriptor closed", "none", "closed"],
)
def test_a_program_without_stderr_can_score(before: str) -> None:
    done = run_python(before + SCORE + "print('scored')")
    assert (done.returncode, done.stdout) == (0, "scored\n")


def test_a_machine_without_a_temporary_folder_can_score() -> None:
    code = "import tempfile\ndef no(*a, **k): raise FileNotFoundError\ntempfile.TemporaryFile = no\n"
    done = run_python(code + SCORE + "print('scored')")
    assert (done.returncode, done.stdout) == (0, "scored\n"), done.stderr


class Noisy(FakeRuntime):
    """Writes to file descriptor 2 as the C++ runtime does."""

    def __init__(self, model_content: bytes, num_threads: int) -> None:
        super().__init__()

    def allocate_tensors(self) -> None:
        os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\nERROR: something is wrong\n")


def test_the_banner_is_kept_back_and_the_rest_passed_on(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("edge_nima.interpreter._interpreter_class", lambda: Noisy)
    open_runtime(TFLITE, 1)
    assert capfd.readouterr().err == "ERROR: something is wrong\n"


def test_threads_that_open_models_at_once_leave_stderr_where_it_was(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("edge_nima.interpreter._interpreter_class", lambda: Noisy)
    start = threading.Barrier(8)

    def open_many(_: int) -> None:
        start.wait()
        for _ in range(10):
            open_runtime(TFLITE, 1)

    before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(open_many, range(8)))
    after = set(os.listdir("/proc/self/fd")) if before else set()
    os.write(2, b"still here\n")
    lines = capfd.readouterr().err.splitlines()
    assert lines.count("ERROR: something is wrong") == 80
    assert lines[-1] == "still here"
    assert len(lines) == 81
    assert len(after) <= len(before) + 1


# Which runtime


@pytest.fixture
def no_runtime(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("ai_edge_litert", "ai_edge_litert.interpreter", "tflite_runtime", "tflite_runtime.interpreter"):
        monkeypatch.setitem(sys.modules, name, None)
    return monkeypatch


def missing() -> str:
    with pytest.raises(PackageMissing) as caught:
        open_runtime(TFLITE, 1)
    text = str(caught.value)
    assert "\n" not in text
    with pytest.raises(PackageMissing):
        runtime_name()
    return text


def with_finder(monkeypatch: pytest.MonkeyPatch, errors: dict[str, Exception]) -> None:
    """Make importing these packages raise, as broken wheels do."""

    class Broken:
        def find_spec(self, name: str, *_: Any) -> None:
            if name.split(".")[0] in errors:
                raise errors[name.split(".")[0]]

    for name in errors:
        monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.delitem(sys.modules, f"{name}.interpreter", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])


def test_without_a_runtime_the_message_names_platform_and_package(no_runtime: pytest.MonkeyPatch) -> None:
    text = missing()
    assert platform.machine() in text
    assert platform.python_version() in text
    assert text.endswith("pip install ai-edge-litert")


@pytest.mark.parametrize("machine", ["armv6l", "armv7l"])
def test_on_a_32_bit_pi_the_message_names_the_package_that_exists(no_runtime: pytest.MonkeyPatch, machine: str) -> None:
    no_runtime.setattr(platform, "machine", lambda: machine)
    text = missing()
    assert machine in text
    assert "pip install 'edge-nima[tflite]'" in text


class TfLiteInterpreter(FakeRuntime):
    made: int = 0

    def __init__(self, model_content: bytes, num_threads: int) -> None:
        super().__init__()
        assert model_content == TFLITE
        assert num_threads == 2
        type(self).made += 1


TfLiteInterpreter.__module__ = "tflite_runtime.interpreter"


@pytest.fixture
def only_tflite_runtime(no_runtime: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    module = types.ModuleType("tflite_runtime.interpreter")
    module.Interpreter = TfLiteInterpreter  # type: ignore[attr-defined]
    no_runtime.setitem(sys.modules, "tflite_runtime", types.ModuleType("tflite_runtime"))
    no_runtime.setitem(sys.modules, "tflite_runtime.interpreter", module)
    return no_runtime


def test_tflite_runtime_that_imports_beside_numpy_2_is_refused_before_it_fails(
    only_tflite_runtime: pytest.MonkeyPatch,
) -> None:
    only_tflite_runtime.setattr(np, "__version__", "2.1.3")
    assert missing() == "tflite-runtime does not work with NumPy 2.1.3: pip install 'numpy<2'"


def test_where_only_tflite_runtime_is_installed_it_is_used(only_tflite_runtime: pytest.MonkeyPatch) -> None:
    only_tflite_runtime.setattr(np, "__version__", "1.26.4")
    before = TfLiteInterpreter.made
    runtime = open_runtime(TFLITE, 2)
    assert isinstance(runtime, TfLiteInterpreter)
    assert runtime.allocated == 1
    assert TfLiteInterpreter.made == before + 1
    assert runtime_name() == "tflite-runtime"


@pytest.mark.parametrize(
    "error",
    [
        ImportError("numpy.core.multiarray failed to import"),
        AttributeError("_ARRAY_API not found"),
        SystemError("initialization of _pywrap failed"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_tflite_runtime_with_numpy_2_says_numpy_below_2(no_runtime: pytest.MonkeyPatch, error: Exception) -> None:
    no_runtime.setattr(np, "__version__", "2.1.3")
    with_finder(no_runtime, {"tflite_runtime": error})
    text = missing()
    assert "2.1.3" in text
    assert "pip install 'numpy<2'" in text


def test_tflite_runtime_that_is_broken_otherwise_says_why(no_runtime: pytest.MonkeyPatch) -> None:
    no_runtime.setattr(np, "__version__", "1.26.4")
    with_finder(no_runtime, {"tflite_runtime": ImportError("libstdc++.so.6: version `GLIBCXX_3.4.29' not found")})
    assert "GLIBCXX_3.4.29" in missing()


def test_litert_that_does_not_load_says_why(no_runtime: pytest.MonkeyPatch) -> None:
    with_finder(no_runtime, {"ai_edge_litert": ImportError("libc.so.6: version `GLIBC_2.34' not found\n(required)")})
    assert "GLIBC_2.34" in missing()


def test_a_rounding_error_below_zero_is_no_share_and_still_has_a_mean() -> None:
    raw = np.array([-9e-7, 0.25, 0.75, *[0.0] * 7])
    distribution = proportions(raw)
    assert distribution.min() == 0
    assert distribution.sum() == pytest.approx(1)
    assert mean_rating(distribution) == pytest.approx(2.75)
