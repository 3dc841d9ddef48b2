"""The gate: tolerances that are read, verdicts that follow, and the conversions that it must refuse."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pytest

from edge_nima.agreement import Agreement, measure_agreement
from edge_nima.errors import RequestError
from edge_nima.gate import RANGES, Failure, Gate, Verdict, judge, load_gate, warning

PERFECT = Agreement(
    n=629, mae=0.0, bias=0.0, p99=0.0, maximum=0.0, std_mae=0.0, emd_r1=0.0, emd_r2=0.0, srcc=1.0, plcc=1.0,
    flips=0.0, spread_ratio=1.0, largest_bin=0.0,
)  # fmt: skip
FLOAT16 = replace(PERFECT, mae=0.0067, bias=0.0053, p99=0.0313, srcc=0.9998, flips=0.0064, spread_ratio=0.9984)
PLAIN_INT8 = replace(PERFECT, mae=0.1142, bias=0.0898, p99=0.527, srcc=0.9533, flips=0.092, spread_ratio=0.968)
DYNAMIC = replace(PERFECT, mae=0.0636, bias=-0.0444, p99=0.198, srcc=0.9907, flips=0.046, spread_ratio=1.015)
NAN = float("nan")


def gate(**limits: float) -> Gate:
    return Gate(limits, 1, "a test")


def failed(verdict: Verdict) -> list[str]:
    return [failure.statistic for failure in verdict.failures]


# The default


def test_the_default_gate_has_the_tolerances_that_a_conversion_is_promised() -> None:
    default = load_gate()
    asked = {"srcc_min", "mae_max", "bias_max", "p99_max", "flips_max", "spread_ratio_min", "spread_ratio_max"}
    assert asked <= set(default.limits)
    assert default.fewest >= 100


def test_float16_passes_and_plain_int8_does_not() -> None:
    assert judge(load_gate(), FLOAT16, "OASIS").status == "passed"
    verdict = judge(load_gate(), PLAIN_INT8, "OASIS")
    assert verdict.status == "failed"
    assert set(failed(verdict)) == {"srcc", "mae", "bias", "p99", "flips", "spread_ratio"}
    assert judge(load_gate(), DYNAMIC, "OASIS").status == "failed"


# Judging


@pytest.mark.parametrize(
    ("limits", "changes", "told"),
    [
        ({"srcc_min": 0.999}, {"srcc": 0.9989}, "srcc 0.9989 (at least 0.999)"),
        ({"mae_max": 0.015}, {"mae": 0.0151}, "mae 0.0151 (at most 0.015)"),
        ({"bias_max": 0.005}, {"bias": -0.006}, "bias -0.006 (at most 0.005)"),
        ({"bias_max": 0.005}, {"bias": 0.006}, "bias 0.006 (at most 0.005)"),
        ({"p99_max": 0.06}, {"p99": 0.5}, "p99 0.5 (at most 0.06)"),
        ({"flips_max": 0.01}, {"flips": 0.02}, "flips 0.02 (at most 0.01)"),
        ({"spread_ratio_min": 0.99}, {"spread_ratio": 0.98}, "spread_ratio 0.98 (at least 0.99)"),
        ({"spread_ratio_max": 1.01}, {"spread_ratio": 1.02}, "spread_ratio 1.02 (at most 1.01)"),
        ({"maximum_max": 0.2}, {"maximum": 0.3}, "maximum 0.3 (at most 0.2)"),
        ({"largest_bin_max": 0.01}, {"largest_bin": 0.1}, "largest_bin 0.1 (at most 0.01)"),
    ],
)  # fmt: skip
def test_each_statistic_can_fail(limits: dict[str, float], changes: dict[str, float], told: str) -> None:
    assert judge(gate(**limits), PERFECT, "x").status == "passed"
    verdict = judge(gate(**limits), replace(PERFECT, **changes), "x")
    assert verdict.status == "failed"
    assert verdict.told() == told


def test_what_is_at_its_limit_is_within_it() -> None:
    at = replace(PERFECT, srcc=0.999, bias=-0.005, spread_ratio=1.01)
    assert judge(gate(srcc_min=0.999, bias_max=0.005, spread_ratio_max=1.01), at, "x").status == "passed"


@pytest.mark.parametrize("statistic", sorted({item.name for item in fields(Agreement)} & set(RANGES)))
def test_a_statistic_that_is_not_defined_fails(statistic: str) -> None:
    side = "min" if statistic in {"srcc", "plcc"} else "max"
    verdict = judge(gate(**{f"{statistic}_{side}": 0.5}), replace(PERFECT, **{statistic: NAN}), "x")
    assert verdict.status == "failed"
    assert verdict.failures == (Failure(statistic, None, side, 0.5),)  # type: ignore[arg-type]
    assert "undefined" in verdict.told()


def test_every_statistic_of_an_agreement_but_n_can_have_a_tolerance() -> None:
    from edge_nima import gate as module

    assert {item.name for item in fields(Agreement)} - set(module.RANGES) == {"n"}


def test_size_and_people_are_judged_where_they_are_known() -> None:
    tolerances = gate(size_max=3_800_000, people_srcc_change_min=-0.002)
    assert judge(tolerances, PERFECT, "x").status == "passed"
    assert failed(judge(tolerances, PERFECT, "x", size=3_800_001, people_srcc_change=-0.003)) == [
        "size", "people_srcc_change",
    ]  # fmt: skip
    assert judge(tolerances, PERFECT, "x", size=3_700_000, people_srcc_change=0.05).status == "passed"
    assert judge(tolerances, PERFECT, "x", people_srcc_change=NAN).status == "failed"


def test_few_photographs_prove_nothing_either_way() -> None:
    few, enough = replace(PERFECT, n=99), replace(PERFECT, n=100)
    assert judge(load_gate(), few, "x").status == "not judged"
    assert "99 photographs prove nothing, 100 or more do" in judge(load_gate(), few, "x").describe()
    assert judge(load_gate(), enough, "x").status == "passed"
    assert judge(load_gate(), replace(PLAIN_INT8, n=99), "x").status == "not judged"


def test_photographs_that_calibrated_can_fail_a_conversion_but_not_pass_it() -> None:
    seen = "measured on the calibration photographs themselves"
    good, bad = (judge(load_gate(), agreement, "x", seen=seen) for agreement in (PERFECT, PLAIN_INT8))
    assert (good.status, good.why, bad.status) == ("not judged", seen, "failed")


def test_a_collapsed_model_fails_by_its_spread_and_what_is_undefined() -> None:
    random = np.random.default_rng(0)
    reference = random.dirichlet(np.ones(10), 200)
    constant = np.tile(reference.mean(axis=0), (200, 1))
    verdict = judge(load_gate(), measure_agreement(reference, constant), "x")
    assert {"srcc", "spread_ratio", "mae"} <= set(failed(verdict))


def test_a_shift_that_keeps_the_ranking_fails_by_its_bias() -> None:
    verdict = judge(load_gate(), replace(FLOAT16, bias=0.05, mae=0.05), "x")
    assert set(failed(verdict)) == {"mae", "bias"}


# What is said


def test_a_warning_is_one_line_with_the_numbers() -> None:
    verdict = judge(load_gate(), PLAIN_INT8, "629 photographs")
    told = warning(verdict)
    assert told is not None
    assert told.isprintable()
    assert "srcc 0.9533 (at least 0.999)" in told
    assert "flips 0.092 (at most 0.01)" in told
    assert warning(judge(load_gate(), FLOAT16, "x")) is None
    assert warning(judge(load_gate(), replace(FLOAT16, n=5), "x")) is None
    assert warning(None) is None


def test_a_hostile_verdict_is_told_in_a_line_that_steers_no_terminal() -> None:
    bad = Failure("\x1b[2J" + "x" * 5000, None, "min", 1.0)
    verdict = Verdict("failed", 3, "\x1b[31m\n", (bad,) * 1000)
    for text in (warning(verdict), verdict.describe()):
        assert text is not None
        assert text.isprintable()
        assert len(text) < 2000


def test_a_verdict_comes_back_from_its_json_as_it_was() -> None:
    for agreement in (FLOAT16, PLAIN_INT8, replace(PERFECT, srcc=NAN), replace(PERFECT, n=3)):
        verdict = judge(load_gate(), agreement, "629 photographs of x")
        raw = asdict(verdict)
        assert Verdict.from_json({**raw, "failures": list(raw["failures"]), "later": 1}) == verdict


# Files of tolerances


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "own.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def refused(path: Path) -> str:
    with pytest.raises(RequestError) as caught:
        load_gate(path)
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) < 500
    return text


def test_a_file_of_ones_own_stands_whole(tmp_path: Path) -> None:
    own = load_gate(write(tmp_path, "\ufeff# mine\r\nmae_max = 1\r\nfewest = 7\r\n"))
    assert own == Gate({"mae_max": 1.0}, 7, "own.toml")
    assert load_gate(write(tmp_path, "srcc_min = 0.9")).fewest == 1
    assert judge(own, replace(PLAIN_INT8, n=7), "x").status == "passed"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("mae_max 0.1", "line 1"),
        ("mae_max = 0.1\nsrcc_min = \n", "line 2"),
        (b"\xff\xfe\x00", "is not TOML"),
        ("mae_max = 0.1\nmae_max = 0.2\n", "line 2"),
        ("a = " + "[" * 50_000, "is not TOML"),
        ("mae = 0.1", "unknown tolerance mae; possible: srcc_min, plcc_min, mae_max"),
        ("mae_min = 0.1", "unknown tolerance mae_min"),
        ("srcc_max = 1", "unknown tolerance srcc_max"),
        ("n_min = 100", "unknown tolerance n_min"),
        ("[mae]\nmax = 0.1", "unknown tolerance mae"),
        ('"\\u001b[2J_max" = 1', "unknown tolerance"),
        ('mae_max = "0.1"', "mae_max is '0.1'; possible: a number"),
        ("mae_max = true", "mae_max is True; possible: a number"),
        ("mae_max = nan", "possible: a number"),
        ("mae_max = inf", "possible: a number"),
        ("mae_max = [0.1]", "possible: a number"),
        (f"size_max = {'9' * 400}", "possible: a number"),
        ("mae_max = 2020-01-01", "possible: a number"),
        ("fewest = 0\nmae_max = 0.1", "fewest is 0; possible: a whole number from 1"),
        ("fewest = 1.5\nmae_max = 0.1", "fewest is 1.5"),
        ("fewest = true\nmae_max = 0.1", "fewest is True"),
        ("", "no tolerance, so nobody can fail it"),
        ("fewest = 100", "no tolerance, so nobody can fail it"),
        ("mae_max = 9", "which nobody can fail: mae lies in 0..9"),
        ("bias_max = 20", "which nobody can fail"),
        ("flips_max = 1", "which nobody can fail: flips lies in 0..1"),
        ("emd_r2_max = 0.96", "which nobody can fail"),
        ("srcc_min = -1", "which nobody can fail: srcc lies in -1..1"),
        ("spread_ratio_min = 0", "which nobody can fail"),
        ("srcc_min = 1.1", "which nobody can keep: the best srcc is 1"),
        ("mae_max = -0.1", "which nobody can keep: the best mae is 0"),
        ("spread_ratio_min = 1.1\nspread_ratio_max = 0.9", "nobody can keep both"),
    ],
)
def test_what_is_no_gate_is_refused_in_one_line(tmp_path: Path, text: str | bytes, told: str) -> None:
    line = refused(write(tmp_path, text))
    assert told in line
    assert "own.toml" in line


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "none.toml")
    assert "Is a directory" in refused(tmp_path)
