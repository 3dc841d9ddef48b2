from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import edge_nima.check
from edge_nima.agreement import measure_agreement
from edge_nima.card import Card, Probe
from edge_nima.check import ProbeResult, check_model
from edge_nima.cli import run
from edge_nima.decode import read_rgb
from edge_nima.distribution import mean_rating
from edge_nima.errors import CardError, ModelError, PictureError
from edge_nima.gate import probe_tolerance
from edge_nima.interpreter import open_runtime
from edge_nima.pixels import Preprocessing
from edge_nima.scorer import BUNDLED, ModelFile, load_model
from fakes import RAMP, TFLITE, FakeOpener, answer_by_content, changed, fake_model

MODEL = load_model("mobilenet-ava-float16")  # its tolerance is narrow enough to test one


def with_tolerance(own: float, reference: float) -> ModelFile:
    return replace(MODEL, card=replace(MODEL.card, tolerance={"own": own, "reference": reference}))


def problems(results: list[ProbeResult]) -> list[str | None]:
    return [result.problem for result in results]


class Shifted:
    """The real runtime, its answer changed: a machine that computes otherwise."""

    def __init__(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> None:
        self._change = change

    def __call__(self, model: bytes, threads: int) -> Any:
        runtime = open_runtime(model, threads)
        change = self._change

        class Changed:
            def __getattr__(self, name: str) -> Any:
                return getattr(runtime, name)

            def get_tensor(self, index: int) -> NDArray[Any]:
                return change(runtime.get_tensor(index))

        return Changed()


def moved_up(share: float) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Move a share of everyone's rating one point up: the mean rises by about the share."""

    def change(p: NDArray[Any]) -> NDArray[Any]:
        moved = np.roll(p, 1, axis=1)
        moved[:, 0], moved[:, -1] = 0, p[:, -1] + p[:, -2]
        result: NDArray[Any] = ((1 - share) * p + share * moved).astype(p.dtype)
        return result

    return change


# The library


@pytest.mark.parametrize("threads", [1, 2])
def test_the_bundled_model_passes_here(threads: int) -> None:
    results = check_model(MODEL, threads)
    assert [result.name for result in results] == [probe.name for probe in MODEL.card.probes]
    for result in results:
        assert result.problem is None
        assert result.pixels_same
        assert result.input_same
        assert abs(result.own_gap) <= MODEL.card.tolerance["own"]
        assert abs(result.reference_gap) <= MODEL.card.tolerance["reference"]


def test_the_gaps_are_of_means() -> None:
    for result, probe in zip(check_model(MODEL), MODEL.card.probes, strict=True):
        assert result.own_mean == pytest.approx(float(mean_rating(probe.own)))
        assert result.reference_mean == pytest.approx(float(mean_rating(probe.reference)))
        assert result.own_gap == result.mean - result.own_mean
        assert result.reference_gap == result.mean - result.reference_mean


def test_arithmetic_that_differs_fails() -> None:
    results = check_model(MODEL, open_model=Shifted(moved_up(0.01)))
    assert all(result.pixels_same and result.input_same for result in results)
    for result in results:
        assert result.problem is not None
        assert "scores otherwise" in result.problem
        assert "resizes" not in result.problem
        assert result.own_gap == pytest.approx(0.01, abs=0.001)


def test_the_tolerance_is_where_it_fails() -> None:
    beyond, within = with_tolerance(0.008, 9), with_tolerance(0.012, 9)
    opened = Shifted(moved_up(0.01))
    assert all(problems(check_model(beyond, open_model=opened)))
    assert not any(problems(check_model(within, open_model=opened)))


def test_a_bin_that_differs_fails_even_where_the_mean_is_the_same() -> None:
    def spread(p: NDArray[Any]) -> NDArray[Any]:
        p = p.copy()
        p[:, 4] -= 0.02
        p[:, 3] += 0.01
        p[:, 5] += 0.01
        return p

    for result in check_model(MODEL, open_model=Shifted(spread)):
        assert abs(result.own_gap) < 1e-4
        assert result.largest_bin == pytest.approx(0.02, abs=1e-3)
        assert result.problem is not None
        assert "scores otherwise" in result.problem


def test_a_model_too_far_from_its_checkpoint_fails() -> None:
    smallest = min(abs(result.reference_gap) for result in check_model(MODEL))
    results = check_model(with_tolerance(0.001, smallest / 2))
    assert all("float model" in (problem or "") for problem in problems(results))


def test_a_model_of_bad_agreement_fails_by_the_tolerance_that_its_agreement_gives() -> None:
    # V3-Small in plain int8 was off by .26 on average, by 1.5 at most; its own answers are what it gives here.
    model = load_model("mobilenet-ava-float16")
    off = [replace(probe, reference=tuple(moved_up(0.26)(np.array([probe.own]))[0])) for probe in model.card.probes]
    agreement = measure_agreement(np.eye(10)[[3, 4, 4, 4]], np.eye(10)[[3, 4, 4, 5]])
    bad = replace(agreement, mae=0.26, maximum=1.5, reference_spread=0.6)
    for changes, expected in (({}, len(off)), ({"reference_spread": 1.5}, 0)):
        card = replace(model.card, probes=tuple(off), tolerance=probe_tolerance(replace(bad, **changes), integer=True))
        told = problems(check_model(replace(model, card=card)))
        assert sum("too far from the float model" in (one or "") for one in told) == expected


def test_red_and_blue_swapped_fail() -> None:
    results = check_model(replace(MODEL, card=changed(MODEL.card, channel_order="BGR")))
    assert not any(result.input_same for result in results if "greyscale" not in result.name)
    assert [p for p in problems(results) if p and "resizes to another input" in p]


@pytest.mark.parametrize("name", ["box", "bilinear", "hamming", "bicubic", "lanczos"])
def test_another_resize_filter_fails(name: str) -> None:
    results = check_model(replace(MODEL, card=changed(MODEL.card, filter=name, antialias=True)))
    told = [p for p in problems(results) if p]
    assert told
    assert all("resizes to another input" in problem for problem in told)


def test_crop_for_stretch_fails() -> None:
    assert any(problems(check_model(replace(MODEL, card=changed(MODEL.card, fit="crop")))))


def test_decoding_that_differs_fails_by_as_little_as_one_level(monkeypatch: pytest.MonkeyPatch) -> None:
    def off_by_one(source: bytes) -> NDArray[np.uint8]:
        rgb = read_rgb(source).copy()
        rgb[0, 0, 0] ^= 1
        return rgb

    monkeypatch.setattr(edge_nima.check, "read_rgb", off_by_one)
    results = check_model(MODEL)
    assert not any(result.pixels_same for result in results)
    assert all("decodes to other pixels" in (problem or "") for problem in problems(results))


def test_a_probe_that_cannot_be_decoded_fails_and_the_rest_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []

    def first_fails(source: bytes) -> NDArray[np.uint8]:
        seen.append(source)
        if len(seen) == 1:
            raise PictureError("damaged:\nsomething")
        return read_rgb(source)

    monkeypatch.setattr(edge_nima.check, "read_rgb", first_fails)
    told = problems(check_model(MODEL))
    assert told == [r"damaged:\nsomething", *[None] * (len(told) - 1)]


def test_an_input_that_differs_but_scores_the_same_passes_and_is_told() -> None:
    probes = tuple(replace(probe, input_sha256="0" * 64) for probe in MODEL.card.probes)
    results = check_model(replace(MODEL, card=replace(MODEL.card, probes=probes)))
    assert not any(result.input_same for result in results)
    assert not any(problems(results))


def test_a_score_that_is_not_a_number_does_not_pass() -> None:
    from edge_nima.check import _judged

    probe = ProbeResult("p", True, True, float("nan"), 5.0, 5.0, float("nan"))
    problem = _judged(probe, 1.0, 1.0).problem
    assert problem is not None
    assert "scores otherwise" in problem
    assert "float model" in problem


def test_an_output_that_is_no_distribution_fails_each_probe() -> None:
    for result in check_model(MODEL, open_model=Shifted(lambda p: np.full_like(p, np.nan))):
        assert result.problem is not None
        assert "not a distribution" in result.problem


def test_a_card_without_probes_says_so() -> None:
    with pytest.raises(CardError, match="no golden probes"):
        check_model(fake_model(), open_model=FakeOpener())


def test_a_model_that_cannot_be_run_is_an_error_and_no_result() -> None:
    with pytest.raises(ModelError):
        check_model(replace(MODEL, content=MODEL.content[:5000]))


def test_probes_are_judged_by_the_fake_as_by_the_real_one() -> None:
    how = MODEL.card.preprocessing
    opener = FakeOpener(how=how, answer=answer_by_content)
    probes = tuple(replace(probe, own=tuple(RAMP), reference=tuple(RAMP)) for probe in MODEL.card.probes)
    card = Card(name="fake", preprocessing=how, probes=probes, tolerance={"own": 1e-6, "reference": 1e-6})
    assert all(problems(check_model(ModelFile(TFLITE, card, "0" * 64), open_model=opener)))
    assert not any(problems(check_model(ModelFile(TFLITE, card, "0" * 64), open_model=FakeOpener(how=how))))
    assert len(opener.made) == 1


# edge-nima check


def cli(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


def test_check_of_the_bundled_model_exits_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], [str(BUNDLED)], ["--threads", "2"], ["mobilenet-ava-int8-mixed"]):
        code, out, err = cli(capsys, "check", *arguments)
        assert (code, err) == (0, "")
        assert f"{len(MODEL.card.probes)} probes passed: {load_model().label}" in out
        for probe in MODEL.card.probes:
            assert probe.name in out
        assert "differ" not in out


def test_check_that_fails_exits_with_1_and_says_what_differed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    swapped = replace(MODEL, card=changed(MODEL.card, channel_order="BGR"))
    monkeypatch.setattr("edge_nima.scorer.load_model", lambda *_: swapped)
    code, out, err = cli(capsys, "check")
    assert (code, err) == (1, "")
    failed = sum(problem is not None for problem in problems(check_model(swapped)))
    assert failed >= 1
    assert f"{failed} of {len(MODEL.card.probes)} probes FAILED" in out
    assert "differ" in out
    words = " ".join(out.split())
    assert "scores otherwise" in words
    assert "another input" in words


def test_check_that_cannot_decode_exits_with_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: bytes) -> NDArray[np.uint8]:
        raise PictureError("damaged: no PNG decoder")

    monkeypatch.setattr(edge_nima.check, "read_rgb", fails)
    code, out, _ = cli(capsys, "check")
    assert code == 1
    assert "no PNG decoder" in out


def test_check_without_probes_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model, card = tmp_path / "bare.tflite", tmp_path / "card.json"
    model.write_bytes(TFLITE)
    card.write_text(Card(name="bare", preprocessing=Preprocessing()).to_json())
    code, out, err = cli(capsys, "check", str(model), "--card", str(card))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "no golden probes" in err


@pytest.mark.parametrize("command", ["check", "show"])
def test_a_model_that_is_none_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str) -> None:
    (tmp_path / "cut.tflite").write_bytes(BUNDLED.read_bytes()[:100_000])
    (tmp_path / "text.tflite").write_text("hello " * 100)
    (tmp_path / "bare.tflite").write_bytes(TFLITE)
    for name, told in (
        ("cut.tflite", "truncated"), ("text.tflite", "TFL3"), ("bare.tflite", "--card FILE"), ("none", "No such file"),
    ):  # fmt: skip
        code, out, err = cli(capsys, command, str(tmp_path / name))
        assert (code, out) == (2, "")
        assert err.startswith("edge-nima: ")
        assert err.count("\n") == 1
        assert told in err


def test_check_with_impossible_threads_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = cli(capsys, "check", "--threads", "0")
    assert (code, out) == (2, "")
    assert "threads" in err


# edge-nima show


def test_show_tells_what_the_card_says(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    code, out, err = cli(capsys, "show", "mobilenet-ava-float16")
    assert (code, err) == (0, "")
    card = MODEL.card
    for told in (MODEL.label, MODEL.sha256, card.recipe, card.licence, card.preprocessing.describe(), card.attribution):
        assert told in out
    for probe in card.probes:
        assert f"{probe.name}: {float(mean_rating(probe.own)):.4f}" in out


def test_show_json_is_the_card_itself(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = cli(capsys, "show", "mobilenet-ava-float16", "--json")
    assert (code, err) == (0, "")
    assert Card.from_json(out) == MODEL.card
    assert json.loads(out)["format"] == "edge-nima card"


def test_what_show_json_gives_serves_as_card(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    _, out, _ = cli(capsys, "show", "--json")
    (tmp_path / "card.json").write_text(out)
    content = BUNDLED.read_bytes()
    (tmp_path / "bare.tflite").write_bytes(_without_archive(content))
    code, out, _ = cli(capsys, "check", str(tmp_path / "bare.tflite"), "--card", str(tmp_path / "card.json"))
    assert code == 0
    assert "probes passed" in out


def _without_archive(content: bytes) -> bytes:
    """The flatbuffer alone, its mention of the card taken out as a model from elsewhere has none."""
    return content[: content.index(b"PK\x03\x04")].replace(b"edge_nima_card.json", b"some_other_file.txt")


def test_show_of_a_card_that_says_little_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model, card = tmp_path / "bare.tflite", tmp_path / "card.json"
    model.write_bytes(TFLITE)
    card.write_text(Card(name="bare", preprocessing=Preprocessing()).to_json())
    code, out, _ = cli(capsys, "show", str(model), "--card", str(card))
    assert code == 0
    for told in ("not recorded", "not measured", "edge-nima check has nothing to go by"):
        assert told in out


HOSTILE = "\x1b[2J\x1b]0;owned\x07[red]5[/red]\r\x9b\ud800"


def test_a_hostile_card_cannot_steer_the_terminal(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = replace(MODEL.card.probes[0], name=HOSTILE)
    hostile = Card(
        name="x", preprocessing=MODEL.card.preprocessing, recipe=HOSTILE, licence=HOSTILE, attribution=HOSTILE,
        source={HOSTILE: HOSTILE}, converter={HOSTILE: HOSTILE}, output=HOSTILE, calibration={"n": HOSTILE},
        agreement={HOSTILE: [HOSTILE]}, probes=(probe,),
    )  # fmt: skip
    model = replace(MODEL, card=Card.from_json(hostile.to_json()))
    monkeypatch.setattr("edge_nima.scorer.load_model", lambda *_: model)
    for command in (["show"], ["show", "--json"], ["check"]):
        _, out, err = cli(capsys, *command)
        assert not err
        assert not {c for c in out if not c.isprintable()} - {"\n"}, command


def test_probes_say_what_they_try() -> None:
    names = [probe.name for probe in MODEL.card.probes]
    assert len(set(names)) == len(names)
    assert all(isinstance(probe, Probe) and probe.name.isprintable() for probe in MODEL.card.probes)
