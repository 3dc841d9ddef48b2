"""Training with the rounding in the loop: it never makes things worse, and goes on where it was interrupted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import skip_without
from edge_nima.errors import CalibrationError, OutputError
from edge_nima.interpreter import Interpreter
from edge_nima.pixels import Preprocessing
from edge_nima_convert.chain import Chain, Layer
from edge_nima_convert.correct import Corrected, correct
from edge_nima_convert.distil import STATE, distil

skip_without("tensorflow", "edge-nima[convert]")

SIDE = 24
RATINGS = np.arange(1, 11)


@pytest.fixture(scope="module")
def chain() -> Chain:
    """Three layers with ReLU6 and random weights; channels of very different ranges."""
    random = np.random.default_rng(5)

    def layer(name: str, shape: tuple[int, ...], depthwise: bool, stride: int, size: float) -> Layer:
        out = shape[3] if depthwise else shape[0]
        gains = np.exp(random.normal(0, 1, out)).astype(np.float32)
        weights = random.normal(0, size, shape).astype(np.float32)
        weights *= gains if depthwise else gains[:, None, None, None]
        return Layer(name, depthwise, weights, random.normal(1, 1, out).astype(np.float32), stride, True, 6.0)

    layers = (
        layer("first", (8, 3, 3, 3), False, 2, 0.006),
        layer("second", (1, 3, 3, 8), True, 1, 0.3),
        layer("third", (16, 1, 1, 8), False, 2, 0.3),
    )
    head = random.normal(0, 0.3, (10, 16)).astype(np.float32)
    return Chain(SIDE, SIDE, 127.5, layers, head, np.zeros(10, np.float32))


@pytest.fixture(scope="module")
def pixels() -> Any:
    random = np.random.default_rng(6)
    coarse = random.integers(0, 256, (80, SIDE // 4, SIDE // 4, 3), dtype=np.uint8)
    return coarse.repeat(4, 1).repeat(4, 2)


@pytest.fixture(scope="module")
def start(chain: Chain, pixels: Any) -> Corrected:
    return correct(chain, pixels[:30])


def mae(corrected: Corrected, chain: Chain, pixels: Any) -> float:
    """Of the real .tflite in the real interpreter."""
    interpreter = Interpreter(corrected.to_tflite(), Preprocessing(width=SIDE, height=SIDE), threads=1)
    said = []
    for picture in pixels:
        interpreter.pixels[...] = picture
        said.append(interpreter.run())
    (x,) = [np.concatenate(list(chain.batches(pixels)))]
    for layer in chain.layers:
        x = layer(x)
    return float(np.abs((np.stack(said) - chain.proportions(x.mean((1, 2)))) @ RATINGS).mean())


def spoilt(start: Corrected) -> Corrected:
    """A start with the head's bias wrong: something to learn."""
    bias = start.chain.head_bias + np.linspace(-0.2, 0.2, 10, dtype=np.float32)
    return replace(start, chain=replace(start.chain, head_bias=bias))


def test_it_learns_what_the_start_has_wrong(chain: Chain, start: Corrected, pixels: Any) -> None:
    wrong = spoilt(start)
    better = distil(chain, wrong, pixels[:60], epochs=6)
    assert mae(better, chain, pixels[60:]) < 0.8 * mae(wrong, chain, pixels[60:])


def test_what_it_keeps_is_never_worse_on_what_was_held_out(
    chain: Chain, start: Corrected, pixels: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_nima_convert.distil.RATE", 30.0)  # steps so wild that every epoch is worse
    kept = distil(chain, start, pixels[:60], epochs=1)
    assert kept.to_tflite() == start.to_tflite()


def test_an_interrupted_run_ends_as_an_uninterrupted_one(
    chain: Chain, start: Corrected, pixels: Any, tmp_path: Path
) -> None:
    whole = distil(chain, spoilt(start), pixels[:40], epochs=3)

    def interrupt(stage: str, done: int, total: int, note: str) -> None:
        if stage == "distilling" and done > total * 0.7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distil(chain, spoilt(start), pixels[:40], tmp_path, interrupt, epochs=3)
    assert (tmp_path / STATE).is_file()
    seen: list[tuple[str, int]] = []
    resumed = distil(
        chain, spoilt(start), pixels[:40], tmp_path, lambda stage, done, *_: seen.append((stage, done)), epochs=3
    )
    assert min(done for stage, done in seen if stage == "distilling") == 80  # two epochs of 32 were there
    # TensorFlow's threads add in any order: a weight on the edge may fall either way.
    same = [np.mean(a.weights == b.weights) for a, b in zip(resumed.integers, whole.integers, strict=True)]
    assert min(same) > 0.98
    assert mae(resumed, chain, pixels) == pytest.approx(mae(whole, chain, pixels), abs=0.002)


def test_a_run_with_other_photographs_starts_anew(chain: Chain, start: Corrected, pixels: Any, tmp_path: Path) -> None:
    distil(chain, start, pixels[:40], tmp_path, epochs=1)
    seen: list[int] = []
    distil(chain, start, pixels[40:], tmp_path, lambda stage, done, *_: seen.append(done), epochs=1)
    assert seen[-2:] == [16, 32]


def test_progress_tells_the_agreement_so_far(chain: Chain, start: Corrected, pixels: Any) -> None:
    told: list[tuple[str, int, int, str]] = []
    distil(chain, start, pixels[:40], progress=lambda *what: told.append(what), epochs=1)
    stages = list(dict.fromkeys(stage for stage, *_ in told))
    assert stages == ["asking the float model", "distilling"]
    stage, done, total, note = told[-1]
    assert (stage, done, total) == ("distilling", 32, 32)
    assert note.startswith("MAE 0.")
    assert note.endswith("on 5 held out")


def test_few_photographs_are_refused(chain: Chain, start: Corrected, pixels: Any) -> None:
    with pytest.raises(CalibrationError, match="19 photographs cannot train a model: give 20 or more"):
        distil(chain, start, pixels[:19])


def test_a_work_folder_that_cannot_be_written_is_one_line(
    chain: Chain, start: Corrected, pixels: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write into"):
        distil(chain, start, pixels[:20], tmp_path / "file" / "work", epochs=1)
