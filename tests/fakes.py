"""A complete fake TFLite runtime: what edge_nima calls, with answers a test decides."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_nima.card import Card
from edge_nima.pixels import Preprocessing
from edge_nima.scorer import ModelFile

TFLITE = b"\x00\x00\x00\x00TFL3" + bytes(16)
"""A file with a .tflite's signature and nothing in it: enough for the fake."""

RAMP = np.arange(1, 11) / 55
"""A distribution that no permutation of its bins equals."""


def answer_ramp(_: NDArray[Any]) -> NDArray[Any]:
    """The same distribution for every picture."""
    return RAMP.astype(np.float32)


def answer_by_content(seen: NDArray[Any]) -> NDArray[Any]:
    """A distribution that tells any two inputs apart, also by the order of their colours."""
    weights = np.random.default_rng(0).uniform(0.5, 1.5, (10, 3))
    strips = np.array_split(seen[0].astype(np.float64).reshape(-1, 3), 10)
    p = np.array([1 + strip.mean(axis=0) @ weight for strip, weight in zip(strips, weights, strict=True)])
    result: NDArray[Any] = (p / p.sum()).astype(np.float32)
    return result


class FakeRuntime:
    """Has the methods of `edge_nima.interpreter.Runtime`, and remembers how it was used."""

    def __init__(
        self,
        how: Preprocessing | None = None,
        *,
        answer: Callable[[NDArray[Any]], NDArray[Any]] = answer_ramp,
        input_dtype: Any = np.uint8,
        input_quantization: tuple[float, int] = (0.0, 0),
        output_dtype: Any = np.float32,
        output_quantization: tuple[float, int] = (0.0, 0),
        inputs: int = 1,
        outputs: int = 1,
        input_shape: tuple[int, ...] | None = None,
        output_shape: tuple[int, ...] = (1, 10),
    ) -> None:
        how = how or Preprocessing()
        shape = (1, how.height, how.width, 3) if input_shape is None else input_shape
        self._answer = answer
        self._inputs = [
            {"index": 7 + i, "shape": np.array(shape), "dtype": input_dtype, "quantization": input_quantization}
            for i in range(inputs)
        ]
        self._outputs = [
            {
                "index": 70 + i, "shape": np.array(output_shape), "dtype": output_dtype,
                "quantization": output_quantization,
            }
            for i in range(outputs)
        ]  # fmt: skip
        self._output_dtype = output_dtype
        self._held: NDArray[Any] | None = None
        self._result: NDArray[Any] | None = None
        self._busy = threading.Lock()
        self.given: list[NDArray[Any]] = []
        """The very objects that `set_tensor` was given."""
        self.seen: list[NDArray[Any]] = []
        """Copies of what they held at `invoke`."""
        self.allocated = 0

    def allocate_tensors(self) -> None:
        self.allocated += 1

    def get_input_details(self) -> list[dict[str, Any]]:
        return self._inputs

    def get_output_details(self) -> list[dict[str, Any]]:
        return self._outputs

    def set_tensor(self, index: int, value: NDArray[Any]) -> None:
        details = self._inputs[0]
        assert index == details["index"]
        assert value.dtype == details["dtype"]
        assert value.shape == tuple(details["shape"])
        self.given.append(value)
        self._held = value.copy()

    def invoke(self) -> None:
        assert self._held is not None, "invoked before it was given a picture"
        assert self._busy.acquire(blocking=False), "two threads use one interpreter at once"
        try:
            self.seen.append(self._held)
            self._result = np.asarray(self._answer(self._held), self._output_dtype)[None]
        finally:
            self._busy.release()

    def get_tensor(self, index: int) -> NDArray[Any]:
        assert index == self._outputs[0]["index"]
        assert self._result is not None, "asked before it was invoked"
        return self._result.copy()


class FakeOpener:
    """An `open_model` that counts; every runtime it makes is kept."""

    def __init__(self, **runtime: Any) -> None:
        self._given = runtime
        self.threads: list[int] = []
        self.made: list[FakeRuntime] = []

    def __call__(self, model: bytes, threads: int) -> FakeRuntime:
        self.threads.append(threads)
        self.made.append(FakeRuntime(**self._given))
        return self.made[-1]


def fake_model(how: Preprocessing | None = None, **card: Any) -> ModelFile:
    """A model file that only the fake can run."""
    return ModelFile(TFLITE, Card(name="fake", preprocessing=how or Preprocessing(), **card), "f" * 64)


def changed(card: Card, **changes: Any) -> Card:
    """A card with another preprocessing: `changed(card, channel_order="BGR")`."""
    return replace(card, preprocessing=replace(card.preprocessing, **changes))


def card_dict(card: Card) -> dict[str, Any]:
    """What a card's JSON holds, to be damaged."""
    raw: dict[str, Any] = json.loads(card.to_json())
    assert raw.keys() >= asdict(card).keys()
    return raw
