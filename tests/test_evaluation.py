"""An evaluation: numbers worked out by hand, what the mathematics promises, the gate, the table, the page."""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from conftest import PHOTOS, ROOT
from edge_nima.cli import run
from edge_nima.distribution import RATINGS, as_distribution, earth_movers_distance, mean_rating, rating_std
from edge_nima.errors import RequestError
from edge_nima.pixels import Preprocessing
from edge_nima.records import FileStamp, RecordFile, ScoreRecord, read_records
from edge_nima_train.evaluation import MIN_SPREAD, Evaluation, Subject, evaluate
from edge_nima_train.evaluation_report import ROWS, as_document, as_json, report
from edge_nima_train.manifest import read_manifest
from edge_nima_train.published import official_test, published_results
from test_names import NAMES, THERE, data_set

Captured = pytest.CaptureFixture[str]
SUBJECT = Subject("model@12345678", "labels.csv", "test")
HOW = Preprocessing().describe()


def two_bins(mean: float) -> NDArray[np.float64]:
    """The histogram on the two ratings around a mean."""
    low = min(int(mean), 9)
    p = np.zeros(10)
    p[low - 1], p[low] = low + 1 - mean, mean - low
    return p


def held(people: Sequence[float], model: Sequence[float], **options: Any) -> Evaluation:
    histograms = [np.stack([two_bins(mean) for mean in side]) for side in (people, model)]
    names = [f"{i}.jpg" for i in range(len(people))]
    return evaluate(names, *histograms, options.pop("subject", SUBJECT), resamples=50, **options)


def drawn(n: int, seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).dirichlet(np.ones(10), n)


def test_every_number_is_the_one_worked_out_by_hand() -> None:
    e = held([2, 4, 6, 8], [4, 3, 6, 7])
    value = {name: one.model.value for name, one in e.statistics.items()}
    assert value["accuracy"] == 1
    assert value["balanced_accuracy"] == 1
    assert value["mae"] == pytest.approx((2 + 1 + 0 + 1) / 4)
    assert value["rmse"] == pytest.approx(math.sqrt((4 + 1 + 0 + 1) / 4))
    assert value["bias"] == pytest.approx((2 - 1 + 0 - 1) / 4)
    assert value["srcc"] == pytest.approx(0.8)  # ranks 1 2 3 4 and 2 1 3 4: 1 - 6 * 2 / (4 * 15)
    assert value["plcc"] == pytest.approx((-3 * -1 + -1 * -2 + 1 * 1 + 3 * 2) / math.sqrt(20 * 10))
    assert value["spread_ratio"] == pytest.approx(math.sqrt(10 / 20))
    assert value["emd_r1"] == pytest.approx((2 + 1 + 0 + 1) / 4 / 10)
    assert value["emd_r2"] == pytest.approx((math.sqrt(0.2) + math.sqrt(0.1) + 0 + math.sqrt(0.1)) / 4)
    low, high = e.tails
    assert (low.people, low.model, low.both, low.recall.value) == (1, 1, 0, 0)  # 2 is below 4 and 4 is not
    assert (high.people, high.model, high.both, high.recall.value) == (1, 0, 0, 0)
    assert e.statistics["std_srcc"].undefined == "all of people's stds are the same"


def test_balanced_accuracy_weighs_both_sides_of_5_alike() -> None:
    e = held([3, 6, 6, 6], [6, 6, 6, 4])
    assert e.statistics["accuracy"].model.value == pytest.approx(2 / 4)
    assert e.statistics["balanced_accuracy"].model.value == pytest.approx((0 + 2 / 3) / 2)
    one_side = held([6, 7, 8], [6, 4, 8])
    assert math.isnan(one_side.statistics["balanced_accuracy"].model.value)
    assert "one side of 5" in one_side.statistics["balanced_accuracy"].undefined


def test_the_constant_answer_is_that_of_the_training_photographs_where_they_are_known() -> None:
    people, model = [2.0, 4, 6, 8], [4.0, 3, 6, 7]
    own = held(people, model)
    assert own.constant.mean == pytest.approx(5)
    assert "themselves" in own.constant.of
    assert own.statistics["accuracy"].constant == pytest.approx(0.5)
    trained = held(people, model, training=np.stack([two_bins(3)] * 7))
    assert trained.constant.mean == pytest.approx(3)
    assert trained.constant.of == "the 7 to train on"
    assert trained.statistics["mae"].constant == pytest.approx((1 + 1 + 3 + 5) / 4)
    assert trained.statistics["rmse"].constant == pytest.approx(math.sqrt((1 + 1 + 9 + 25) / 4))
    assert trained.statistics["bias"].constant == pytest.approx(3 - 5)
    assert trained.statistics["spread_ratio"].constant == 0
    assert trained.statistics["emd_r1"].constant == pytest.approx((1 + 1 + 3 + 5) / 40)
    assert trained.statistics["balanced_accuracy"].constant == pytest.approx(0.5)
    assert [tail.constant for tail in trained.tails] == [1, 0]  # everything at 3: below 4, not above 7
    assert trained.constant.good_accuracy == pytest.approx(0.5)


def test_differences_are_to_the_constant_answer() -> None:
    people, model = drawn(60, 0), drawn(60, 1)
    e = evaluate([str(i) for i in range(60)], people, model, SUBJECT)
    for name in ("accuracy", "emd_r1", "emd_r2", "mae"):
        one = e.statistics[name]
        assert one.difference.value == pytest.approx(one.model.value - one.constant)
        assert one.difference.low <= one.difference.value <= one.difference.high
        assert one.model.low <= one.model.value <= one.model.high


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 40))
@example(seed=2320, n=2)
@example(seed=367, n=2)  # two photographs that people rate alike, nearly: no spread to judge by
def test_who_says_what_people_say_is_perfect(seed: int, n: int) -> None:
    people = drawn(n, seed)
    e = evaluate([str(i) for i in range(n)], people, people, SUBJECT, resamples=20)
    value = {name: one.model.value for name, one in e.statistics.items()}
    for name, perfect in (("accuracy", 1), ("mae", 0), ("rmse", 0), ("bias", 0), ("emd_r1", 0), ("emd_r2", 0)):
        assert value[name] == pytest.approx(perfect, abs=1e-8)
    for name in ("srcc", "plcc", "std_srcc", "std_plcc", "spread_ratio"):
        # A ratio of spreads magnifies the rounding of the means, 2e-10, by one over the spread.
        assert value[name] == pytest.approx(1, abs=1e-6 + 1e-9 / max(e.collapse.people_std, 1e-6))
    assert e.collapse.status == ("passed" if e.collapse.people_std >= 0.01 else "not judged")
    for tail in e.tails:
        assert tail.both == tail.people == tail.model
        assert math.isnan(tail.recall.value) == (tail.people == 0)


def test_a_mean_on_the_edge_of_a_tail_is_on_one_side_whatever_its_rounding() -> None:
    half = np.random.default_rng(0).integers(1, 40, (200, 4)).astype(np.float64)
    at_4 = np.hstack([half, half[:, 2::-1], np.zeros((200, 3))])
    people = np.vstack([at_4, at_4[:, ::-1]])  # and at 7
    e = evaluate([""] * 400, people, as_distribution(people).astype(np.float32), SUBJECT, resamples=2)
    assert [(tail.people, tail.model) for tail in e.tails] == [(0, 0), (0, 0)]


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 40))
def test_every_number_stays_where_it_can_be(seed: int, n: int) -> None:
    people, model = drawn(n, seed), drawn(n, seed + 1)
    e = evaluate([str(i) for i in range(n)], people, model, SUBJECT, resamples=20)
    assert set(e.statistics) == {row.field for row in ROWS}
    for name, one in e.statistics.items():
        assert math.isnan(one.model.value) == bool(one.undefined), name
    value = {name: one.model.value for name, one in e.statistics.items()}
    assert abs(value["bias"]) <= value["mae"] + 1e-9
    assert value["mae"] <= value["rmse"] + 1e-9
    assert value["emd_r1"] == pytest.approx(float(earth_movers_distance(people, model, r=1).mean()))
    assert value["emd_r1"] <= value["emd_r2"] + 1e-12  # means of powers rise with the power
    assert value["mae"] <= 10 * value["emd_r1"] + 1e-9  # a mean moves by no more than the mass is carried
    assert sum(one.n for one in e.bins) == n
    assert all(tail.both <= min(tail.people, tail.model) for tail in e.tails)
    json.loads(as_json(e))


def test_the_std_correlations_are_of_the_ratings_std() -> None:
    people, model = drawn(50, 2), drawn(50, 3)
    mixed = as_distribution(people + 0.5 * model)
    e = evaluate([str(i) for i in range(50)], people, mixed, SUBJECT)
    expected = float(np.corrcoef(rating_std(people), rating_std(mixed))[0, 1])
    one = e.statistics["std_plcc"].model
    assert one.value == pytest.approx(expected)
    assert one.low < expected < one.high


def test_means_only_leave_out_the_std_and_say_so() -> None:
    e = held([2, 4, 6, 8], [4, 3, 6, 7], inferred=True)
    for name in ("std_srcc", "std_plcc"):
        assert math.isnan(e.statistics[name].model.value)
        assert e.statistics[name].undefined == "the labels hold means only"
    assert any("max-entropy" in line for line in e.warnings)


def test_few_photographs_have_numbers_and_no_intervals() -> None:
    e = held([4], [6])
    assert e.statistics["mae"].model.value == pytest.approx(2)
    assert math.isnan(e.statistics["mae"].model.low)
    assert e.statistics["srcc"].undefined == "one photograph only"
    assert e.collapse.status == "not judged"


@pytest.mark.parametrize(
    ("people", "model"),
    [
        (np.ones((2, 10)), np.ones((3, 10))),
        (np.ones((2, 9)), np.ones((2, 9))),
        (np.zeros((2, 10)), np.ones((2, 10))),
        (np.ones((0, 10)), np.ones((0, 10))),
    ],
)
def test_what_cannot_be_evaluated_is_refused(people: NDArray[Any], model: NDArray[Any]) -> None:
    with pytest.raises(RequestError, match="cannot evaluate"):
        evaluate(["a", "b"][: len(people)], people, model, SUBJECT)


# The gate ------------------------------------------------------------------------------------------------------------


def shrunk(n: int, factor: float) -> Evaluation:
    """A network whose means are people's, drawn towards 5.5."""
    people = np.linspace(2, 9, n)
    return held(people.tolist(), (5.5 + factor * (people - 5.5)).tolist())


def test_predictions_that_crowd_fail_and_are_told_in_words() -> None:
    e = shrunk(29, 0.2)
    assert e.statistics["srcc"].model.value == pytest.approx(1)  # rank order alone sees nothing
    assert e.collapse.status == "failed"
    for words in ("crowd around 5.50", "0.20 of people's", "below 4 it puts 0", "above 7 it puts 0", "0.4"):
        assert words in e.collapse.told, words


def test_the_limit_passes_and_a_hair_below_it_does_not() -> None:
    assert shrunk(29, MIN_SPREAD + 1e-9).collapse.status == "passed"
    assert shrunk(29, MIN_SPREAD - 1e-3).collapse.status == "failed"
    assert held([2, 4, 6, 8], [4, 3, 6, 7], min_spread=0.8).collapse.status == "failed"


def test_one_answer_for_all_fails_in_its_own_words() -> None:
    e = held([2, 4, 6, 8] * 4, [5.35] * 16)
    assert e.collapse.status == "failed"
    assert "same rating, 5.35" in e.collapse.told
    assert math.isnan(e.statistics["srcc"].model.value)
    assert e.statistics["srcc"].undefined == "all of the model's means are the same"


def test_an_honest_regressor_passes_at_its_own_correlation() -> None:
    random = np.random.default_rng(0)
    truth = np.clip(random.normal(5.5, 1, 400), 1.5, 9.5)
    seen = truth + random.normal(0, 1, 400)
    slope = float(np.cov(seen, truth)[0, 1] / seen.var(ddof=1))
    e = held(truth.tolist(), np.clip(truth.mean() + slope * (seen - seen.mean()), 1, 10).tolist())
    assert e.statistics["spread_ratio"].model.value == pytest.approx(e.statistics["plcc"].model.value, abs=0.02)
    assert e.collapse.status == "passed"


# AVA's official list -------------------------------------------------------------------------------------------------


def ava(path: Path, ids: Sequence[int]) -> Path:
    lines = [f"{i} {image} 1 2 3 14 40 60 30 9 4 {1 + i % 5} 0 0 7" for i, image in enumerate(ids, 1)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="session")
def official(data: Path) -> Path:
    return data / "ava" / "aesthetics_image_lists" / "generic_test.jpgl"


def test_the_table_appears_when_all_are_on_the_list_or_somebody_says_so(tmp_path: Path, official: Path) -> None:
    ids = sorted(map(int, official.read_text().split()))
    listed = tmp_path / "any name.txt"  # in another order, with other line ends
    listed.write_text("\r\n".join(map(str, ids)), newline="")
    inside = read_manifest(ava(tmp_path / "in.txt", [ids[0], ids[7]]))
    outside = read_manifest(ava(tmp_path / "out.txt", [ids[0], 1]))
    known = official_test(inside, False, listed)
    assert known is not None
    assert "2 of its 20,000" in known.told
    assert official_test(outside, False, listed) is None
    assert official_test(inside, False, None) is None
    claimed = official_test(outside, True, None)
    assert claimed is not None
    assert "not checked" in claimed.told
    with pytest.raises(RequestError, match=r"1 of 2 photographs are not on .*, such as 1:"):
        official_test(outside, True, listed)


@pytest.mark.parametrize(("ids", "held"), [(range(1, 4), "3"), (range(1, 20_001), "20,000 others")])
def test_a_list_that_is_not_avas_is_refused_in_one_line(
    ids: range, held: str, case: tuple[Path, Path], tmp_path: Path, capsys: Captured
) -> None:
    listed = tmp_path / "list"
    listed.write_text("".join(f"{i}\n" for i in ids))
    assert run(command("--records", case[1], "--manifest", case[0], "--official-list", listed)) == 2
    assert re.fullmatch(rf".*list' is not AVA's official test list,.*: it holds {held}\n", capsys.readouterr().err)


def test_the_published_numbers_are_those_that_were_published() -> None:
    found = {one.name: one for one in published_results()}
    assert (found["NIMA MobileNet"].accuracy, found["NIMA MobileNet"].srcc, found["NIMA MobileNet"].emd) == (
        0.8036, 0.510, 0.081,
    )  # fmt: skip
    seed = found["Laufer MobileNet"]
    assert (seed.source, seed.accuracy, seed.emd) == ("Laufer 2019", 0.7522, 0.094)
    assert found["idealo MobileNet"].srcc == 0.609
    assert [found[name].accuracy for name in ("Murray", "Kong Reg", "Schwarz")] == [0.68, 0.7204, 0.7583]
    assert all(one.split for one in found.values())


def test_the_constants_of_the_official_list_are_those_of_its_labels(data: Path, official: Path) -> None:
    """FACTS computed them from all 20,000; the part of AVA.txt that is here must be near."""
    labels = read_manifest(data / "ava" / "AVA_part.txt")
    ids = set(official.read_text().split())
    chosen = labels.only([row for row, one in enumerate(labels.labels.ids) if one in ids])
    assert len(chosen) > 1000
    known = official_test(chosen, False, official)
    assert known is not None
    people = chosen.labels.distributions
    e = evaluate(chosen.names, people, drawn(len(chosen), 0), SUBJECT, resamples=2)
    assert e.statistics["emd_r2"].constant == pytest.approx(0.0954, abs=0.003)
    assert e.statistics["emd_r1"].constant == pytest.approx(0.0678, abs=0.003)
    assert e.constant.good_accuracy == pytest.approx(0.706, abs=0.02)
    means = mean_rating(people)
    assert not ((means > 5.365) & (means < 5.564)).any()


# The command ---------------------------------------------------------------------------------------------------------


def write_labels(path: Path, people: NDArray[np.float64], splits: Sequence[str] = (), folder: str = "p") -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", *(f"n{i}" for i in range(1, 11)), "split"])
        for i, votes in enumerate(people):
            writer.writerow([f"{folder}/{i}.jpg", *(f"{v:.9f}" for v in votes), splits[i] if splits else ""])
    return path


def write_records(path: Path, model: NDArray[np.float64], folder: str = "/elsewhere/p", bad: int = -1) -> Path:
    with RecordFile(path, "jsonl") as file:
        for i, p in enumerate(model):
            mean = float(p @ RATINGS)
            record = ScoreRecord(f"{folder}/{i}.jpg", mean, 1.0, tuple(p.tolist()), "m@1", 1.0, None, HOW)
            if i == bad:
                record = ScoreRecord(f"{folder}/{i}.jpg", None, None, None, "m@1", 1.0, "empty file: 0 bytes", HOW)
            file.write(record, FileStamp(None, None))
    return path


@pytest.fixture
def case(tmp_path: Path) -> tuple[Path, Path]:
    """Labels of 40 photographs and a model's records of them."""
    people = drawn(40, 0)
    model = as_distribution(people + 0.3 * drawn(40, 1))
    splits = ["test"] * 20 + ["train"] * 15 + [""] * 5
    return write_labels(tmp_path / "l.csv", people, splits), write_records(tmp_path / "r.jsonl", model)


def command(*arguments: object) -> list[str]:
    return ["train", "evaluate", *map(str, arguments)]


def test_records_are_evaluated_without_keras(case: tuple[Path, Path], tmp_path: Path) -> None:
    labels, records = case
    code = (
        "import sys\nfrom edge_nima.cli import run\n"
        f"code = run({command('--records', records, '--manifest', labels)!r})\n"
        "assert not {'keras', 'tensorflow', 'jax'} & set(sys.modules), 'loaded'\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "n = 20 photographs, split test" in done.stdout
    assert "mean histogram of the 15 to train on" in done.stdout
    assert "20 photographs with a record, outside the split" in done.stdout
    assert "cannot be known" in done.stderr


def test_the_report_holds_what_the_table_says(case: tuple[Path, Path], tmp_path: Path, capsys: Captured) -> None:
    pytest.importorskip("matplotlib", reason="needs edge-nima[report]")
    labels, records = case
    out = tmp_path / "report"
    given = command("--records", records, "--manifest", labels, "--split", "all", "--out", out)
    assert run(given) == 0
    told = capsys.readouterr().out
    document = json.loads((out / "evaluation.json").read_text())
    assert document["format"] == "edge-nima evaluation"
    assert document["n"] == 40
    assert f"{document['statistics']['srcc']['value']:.4f}" in told
    page = (out / "index.html").read_text()
    assert f"{document['statistics']['emd_r2']['value']:.4f}" in page
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("<svg") == 6 + 24
    assert run(given) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert run([*given, "--overwrite"]) == 0


def test_a_collapsed_model_is_reported_and_fails(tmp_path: Path, capsys: Captured) -> None:
    pytest.importorskip("matplotlib", reason="needs edge-nima[report]")
    people = drawn(30, 0)
    records = write_records(tmp_path / "r.jsonl", np.tile(people.mean(axis=0), (30, 1)))
    out = tmp_path / "report"
    given = command("--records", records, "--manifest", write_labels(tmp_path / "l.csv", people), "--out", out)
    assert run(given) == 1
    told = capsys.readouterr()
    assert "looks at nothing" in told.out
    assert "collapsed" in told.err
    assert "looks at nothing" in (out / "index.html").read_text()
    assert json.loads((out / "evaluation.json").read_text())["collapse"]["status"] == "failed"


def test_what_has_no_score_is_named_and_left_out(tmp_path: Path, capsys: Captured) -> None:
    people = drawn(12, 0)
    labels = write_labels(tmp_path / "l.csv", people)
    records = write_records(tmp_path / "r.jsonl", people[:10], bad=3)
    assert run(command("--records", records, "--manifest", labels)) == 0
    told = capsys.readouterr().out
    assert "n = 9 photographs, split all" in told
    assert "2 photographs of the split without a record" in told
    assert "p/11.jpg" in told
    assert "p/3.jpg: empty file" in told


def test_detours_in_a_manifest_do_not_hide_photographs(tmp_path: Path, capsys: Captured) -> None:
    people = drawn(12, 0)
    labels = write_labels(tmp_path / "l.csv", people, folder="../photos")
    records = write_records(tmp_path / "r.jsonl", people, folder="/data/photos")
    assert run(command("--records", records, "--manifest", labels)) == 0
    assert "n = 12 photographs" in capsys.readouterr().out


def test_a_hostile_name_is_text(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs edge-nima[report]")
    from edge_nima.reports.pages import page

    evil = "<script>alert(1)</script>\x1b[31m.jpg"
    people = drawn(12, 0)
    subject = Subject(evil, evil, evil, evil, {evil: (evil,)}, (evil,))
    made = evaluate([evil] * 12, people, people, subject)
    text = page(report(made, [tmp_path / "none.jpg"] * 12))
    assert "<script" not in text
    assert "\x1b" not in text
    assert "cannot be opened" in text
    assert as_document(made)["best"][0]["name"] == evil


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--manifest", "L"], "whose opinion"),
        (["X", "--records", "R", "--manifest", "L"], "whose opinion"),
        (["--records", "R"], "--manifest"),
        (["--records", "R", "--manifest", "L", "--split", "tset"], "possible: train, val, test, all"),
        (["--records", "R", "--manifest", "L", "--split", "val"], "no photographs in split 'val'"),
        (["--records", "R", "--manifest", "L", "--drop-trained"], "go with a CHECKPOINT"),
        (["--records", "L", "--manifest", "L"], "not a file of score records"),
        (["--records", "R", "--manifest", "R"], "possible"),
        (["--records", "R", "--manifest", "L", "--images", "none"], "no such folder"),
        (["--records", "R", "--manifest", "L", "--out", "L"], "no folder"),
        (["--records", "R", "--manifest", "L", "--official-list", "L"], "line 1"),
        (["--records", "R", "--manifest", "L", "--min-spread", "2"], "--min-spread"),
        (["--records", "R", "--manifest", "L", "--min-spread", "nan"], "possible: 0 to 1"),
        (["none.keras", "--manifest", "L", "--out", "O"], "no such checkpoint"),
        (["none.keras", "--manifest", "L"], "--out FOLDER"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    arguments: list[str], words: str, case: tuple[Path, Path], tmp_path: Path, capsys: Captured
) -> None:
    stand_in = {"L": str(case[0]), "R": str(case[1]), "O": str(tmp_path / "o")}
    assert run(command(*(stand_in.get(one, one) for one in arguments))) == 2
    told = capsys.readouterr().err.strip()
    assert words in told
    assert "\n" not in told
    assert not (tmp_path / "o").exists()


def test_other_photographs_have_nothing_to_say(case: tuple[Path, Path], tmp_path: Path, capsys: Captured) -> None:
    labels = write_labels(tmp_path / "other.csv", drawn(5, 0), folder="q")
    assert run(command("--records", case[1], "--manifest", labels)) == 2
    assert "has a score" in capsys.readouterr().err


@pytest.fixture
def run_folder(tiny_keras: Path, tmp_path: Path) -> Path:
    """A run that was trained on one of the example photographs, and chose its epoch by another."""
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(tiny_keras, folder / "model.keras")
    (folder / "done.json").write_text("{}")
    (folder / "preprocessing.json").write_text(json.dumps(asdict(Preprocessing(filter="bilinear", antialias=True))))
    names = sorted(path.name for path in PHOTOS.glob("*.jpg"))
    (folder / "photographs.csv").write_text(
        f"image_id,file,sha256,split\n,x/{names[0]},,train\n,x/{names[1]},,val\n77,other.jpg,,train\n"
    )
    rows = "".join(f"{name},{3 + i}\n" for i, name in enumerate(names))
    (tmp_path / "m.csv").write_text(f"file,mean_rating\n{rows}")
    return folder


def test_a_run_refuses_what_it_was_trained_on_and_reports_beside_itself(
    run_folder: Path, tmp_path: Path, capsys: Captured
) -> None:
    names = sorted(path.name for path in PHOTOS.glob("*.jpg"))
    given = command(run_folder, "--manifest", tmp_path / "m.csv", "--images", PHOTOS, "--min-spread", "0")
    assert run(given) == 2
    told = capsys.readouterr().err
    assert f"1 of {len(names)} photographs are among those that run was trained on, such as {names[0]}" in told
    assert not (run_folder / "evaluation-all").exists()
    assert run([*given, "--drop-trained"]) == 0
    told = capsys.readouterr().out
    assert f"n = {len(names) - 1} photographs" in told
    assert "1 photograph that it was trained on" in told
    out = run_folder / "evaluation-all"
    assert {path.name for path in out.iterdir()} == {"index.html", "evaluation.json", "records.jsonl"}
    document = json.loads((out / "evaluation.json").read_text())
    assert "best epoch" in document["warnings"][0]
    assert document["left_out"] == {"that it was trained on": [names[0]]}
    assert "data:image/jpeg" in (out / "index.html").read_text()
    records = (out / "records.jsonl").read_text()
    assert run([*given, "--drop-trained"]) == 2
    # What an interrupted run left is gone on with: these records are not made again, only reported.
    for name in ("records.jsonl", "records.jsonl.partial"):
        for path in out.iterdir():
            path.unlink()
        (out / name).write_text(records)
        assert run([*given, "--drop-trained"]) == 0
        assert (out / "records.jsonl").read_text() == records
    (run_folder / "done.json").unlink()
    assert run([*given, "--drop-trained", "--overwrite"]) == 0
    assert "not finished" in capsys.readouterr().err


SMALL = """
[data]
manifest = "FOLDER/m.csv"
size = 40
[network]
input = 32
alpha = 0.25
weights = "none"
[phase1]
epochs = 1
batch = 8
[phase2]
epochs = 0
"""


@pytest.mark.slow
def test_the_example_trains_and_evaluates_and_its_photographs_are_known_again(tmp_path: Path, capsys: Captured) -> None:
    random, lines, copied = np.random.default_rng(0), ["file,mean_rating,split"], ["file,mean_rating"]
    for i in range(24):
        path = tmp_path / f"{i}.png"
        Image.fromarray(random.integers(0, 256, (50, 60, 3), dtype=np.uint8)).save(path)
        lines.append(f"{i}.png,{2 + i / 4},{'val' if i % 3 == 0 else 'train'}")
        if i < 12:
            copied.append(f"{shutil.copy(path, tmp_path / f'copy {i:03}.PNG').name},{3 + i / 4}")
    for name, rows in (("m.csv", lines), ("copies.csv", copied)):
        (tmp_path / name).write_text("\n".join(rows) + "\n")
    (tmp_path / "c.toml").write_text(SMALL.replace("FOLDER", str(tmp_path)))
    arguments = [tmp_path / "c.toml", tmp_path / "m.csv", tmp_path / "run"]
    example = [sys.executable, ROOT / "examples" / "train_and_evaluate.py", *arguments]
    done = subprocess.run(example, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^spread_ratio \d\.\d{3}, the constant answer 0\.000$", done.stdout, re.MULTILINE)
    assert json.loads((tmp_path / "run" / "evaluation-val" / "evaluation.json").read_text())["n"] == 8
    given = command(tmp_path / "run", "--manifest", tmp_path / "copies.csv", "--min-spread", 0)
    assert run(given) == 2
    assert "8 of 12 photographs are among those that run was trained on" in capsys.readouterr().err
    assert run([*given, "--drop-trained"]) == 0
    assert "n = 4 photographs" in capsys.readouterr().out


def test_importing_the_package_starts_no_keras() -> None:
    code = """
import sys, edge_nima_train
assert all(getattr(edge_nima_train, name).__doc__ for name in edge_nima_train.__all__)
print([name for name in ("tensorflow", "keras", "h5py", "matplotlib") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_records_and_the_report_name_files(
    tiny_keras: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib", reason="needs edge-nima[report]")
    monkeypatch.chdir(tmp_path)
    data_set(tmp_path, NAMES[:-1])
    assert run(["data", "verify", "labels.csv", "p", "--out", "good.csv"]) == 0
    for records, which in (("r.csv", ["p"]), ("r.jsonl", ["--manifest", "good.csv"])):
        assert run(["train", "predict", str(tiny_keras), *which, "-o", records]) == 0
        assert {record.name for record, _ in read_records(records)} == THERE
        assert run(command("--records", records, "--manifest", "good.csv", "--min-spread", "0")) == 0
    options = ["--manifest", "good.csv", "--min-spread", "0", "--out", "report"]
    assert run(command(tiny_keras, *options)) == 0
    document = json.loads(Path("report", "evaluation.json").read_text())
    assert ({one["name"] for one in document["best"]}, document["left_out"]) == (THERE, {})


def test_the_published_table_stands_beside_ours(tmp_path: Path, official: Path, capsys: Captured) -> None:
    pytest.importorskip("matplotlib", reason="needs edge-nima[report]")
    ids = [int(line) for line in official.read_text().split()[:15]]
    labels = ava(tmp_path / "AVA.txt", ids)
    histograms = read_manifest(labels).labels.distributions
    with RecordFile(tmp_path / "r.jsonl", "jsonl") as file:
        for i, p in zip(ids, histograms, strict=True):
            record = ScoreRecord(f"{i}.jpg", float(p @ RATINGS), 1.0, tuple(p.tolist()), "m@1", 1.0, None, HOW)
            file.write(record, FileStamp(None, None))
    out = tmp_path / "out"
    given = ["--records", tmp_path / "r.jsonl", "--manifest", labels, "--out", out]
    assert run(command(*given, "--official-list", official)) == 0
    told, page = capsys.readouterr().out, (out / "index.html").read_text()
    document = json.loads((out / "evaluation.json").read_text())
    assert len(document["official"]["results"]) == len(published_results())
    for words in ("75.22 %", "80.36 %", "0.0954", "overlaps the official test list", "15 of its 20,000"):
        assert words in told, words
        assert words in page, words
    assert run(command(*given, "--overwrite")) == 0
    assert "75.22" not in capsys.readouterr().out
    assert "75.22" not in (out / "index.html").read_text()
