"""Comparisons: what is joined, what is refused, and every number against its closed form or scipy."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_nima.agreement import measure_agreement
from edge_nima.comparison import Comparison, compare, compare_records, why_undefined
from edge_nima.distribution import RATINGS, max_entropy_distribution, mean_rating
from edge_nima.errors import RequestError
from edge_nima.joining import join_names
from edge_nima.people import AgainstPeople
from edge_nima.pixels import Preprocessing
from edge_nima.records import FileStamp, RecordFile, ScoreRecord
from edge_nima.reports.comparison import as_document, as_json

HOW = Preprocessing().describe()
Floats = NDArray[np.float64]


def opinions(n: int, seed: int = 0, near: Floats | None = None, by: float = 0.1) -> Floats:
    """n histograms; mixed `by` so much into those of `near`."""
    p = np.random.default_rng(seed).dirichlet(np.ones(10), n)
    return p if near is None else (1 - by) * near + by * p


def one_bin(*ratings: int) -> Floats:
    return np.eye(10)[np.array(ratings) - 1]


def named(n: int) -> list[str]:
    return [f"p/{i:04}.jpg" for i in range(n)]


def record(name: str, p: Any = None, model: str = "net@01234567", how: str | None = HOW) -> ScoreRecord:
    if p is None:
        return ScoreRecord(name, None, None, None, model, 1.0, "damaged: torn", how)
    q = tuple(float(share) for share in p)
    return ScoreRecord(name, float(np.clip(np.dot(q, RATINGS) / sum(q), 1, 10)), 1.0, q, model, 1.0, None, how)


def write(path: Path, records: list[ScoreRecord], size: int | None = None) -> Path:
    with RecordFile(path, "csv" if path.suffix == ".csv" else "jsonl") as file:
        for one in records:
            file.write(one, FileStamp(size, None))
    return path


def both(folder: Path, ours: list[ScoreRecord], theirs: list[ScoreRecord], **options: Any) -> Comparison:
    return compare_records(write(folder / "ref.jsonl", ours), write(folder / "cand.jsonl", theirs), **options)


# Arrays


def test_the_agreement_is_that_of_measure_agreement_and_intervals_hold_it() -> None:
    p = opinions(300)
    q = opinions(300, 1, near=p)
    c = compare(named(300), p, q)
    assert c.agreement == measure_agreement(p, q)
    assert c.n == 300
    assert set(c.intervals) == {
        "mae", "bias", "std_mae", "emd_r1", "emd_r2", "flips", "srcc", "plcc", "spread_ratio",
    }  # fmt: skip
    for name, (low, high) in c.intervals.items():
        assert low <= getattr(c.agreement, name) <= high
        assert high - low < 0.1
    assert why_undefined(c) == {key: why for key, why in why_undefined(c).items() if key.startswith("bins.")}


def test_the_same_seed_gives_the_same_intervals_and_another_others() -> None:
    p, q = opinions(50), opinions(50, 1)
    assert compare(named(50), p, q, seed=3).intervals == compare(named(50), p, q, seed=3).intervals
    assert compare(named(50), p, q, seed=3).intervals != compare(named(50), p, q, seed=4).intervals


def test_bins_hold_every_photograph_once_and_their_lower_edge() -> None:
    reference = one_bin(1, 2, 2, 5, 10)
    c = compare(list("abcde"), reference, one_bin(1, 2, 3, 5, 9))
    assert [(one.low, one.high, one.agreement.n) for one in c.bins] == [
        (1.0, 1.5, 1), (2.0, 2.5, 2), (5.0, 5.5, 1), (9.5, 10.0, 1),
    ]  # fmt: skip
    assert c.bins_of == "reference"
    assert (c.bins[1].agreement.mae, c.bins[1].agreement.maximum) == (0.5, 1)
    assert c.bins[1].candidate_error is None


def test_the_worst_are_those_whose_means_differ_most() -> None:
    c = compare(list("dcba"), one_bin(5, 5, 5, 5), one_bin(5, 7, 6, 3))
    assert [c.names[row] for row in c.worst()] == ["a", "c", "b", "d"]  # ties by name
    assert len(c.worst(2)) == 2


def test_no_flip_in_few_photographs_is_no_certainty() -> None:
    p = opinions(20)
    assert compare(named(20), p, p).intervals["flips"] == (0, pytest.approx(0.161, abs=0.001))
    assert all(math.isnan(end) for ends in compare(named(9), p[:9], p[:9]).intervals.values() for end in ends)


def test_a_mean_of_5_is_on_one_side_for_people_and_models() -> None:
    people = np.array(
        [[0, 0, 0, 1, 1, 1, 0, 0, 0, 0], [3, 0, 0, 0, 0.1, 0, 0, 0, 3, 0], [0, 1, 0, 0, 0, 0, 0, 1, 0, 0]]
    )
    single = people.astype(np.float32) / people.astype(np.float32).sum(axis=1, keepdims=True)
    nearly = single - np.float32(1e-8) * np.sign(single) * RATINGS.astype(np.float32)  # below 5 by the last bits
    part = compare(named(3), single, nearly, people).against_people
    assert part is not None
    assert (part.reference.accuracy.value, part.candidate.accuracy.value) == (1, 1)
    assert (part.baselines.good_accuracy, part.baselines.accuracy) == (1, 1)


def test_people_are_compared_with_scipy_and_the_closed_forms() -> None:
    stats = pytest.importorskip("scipy.stats")
    p, q, people = opinions(120), opinions(120, 1), opinions(120, 2)
    part = compare(named(120), p, q, people).against_people
    assert part is not None
    truth = mean_rating(people)
    for model, found in ((p, part.reference), (q, part.candidate)):
        means = mean_rating(model)
        assert found.srcc.value == pytest.approx(stats.spearmanr(truth, means).statistic)
        assert found.plcc.value == pytest.approx(stats.pearsonr(truth, means).statistic)
        assert found.accuracy.value == pytest.approx(np.mean((truth >= 5) == (means >= 5)))
        assert found.mae.value == pytest.approx(np.abs(means - truth).mean())
        assert found.bias.value == pytest.approx((means - truth).mean())
        assert found.spread_ratio.value == pytest.approx(means.std() / truth.std())
        gaps = np.abs(np.cumsum(model, 1) - np.cumsum(people, 1))
        assert found.emd_r1.value == pytest.approx(gaps.mean(1).mean())
        assert found.emd_r2.value == pytest.approx(np.sqrt((gaps**2).mean(1)).mean())
    for field in fields(AgainstPeople):
        ours, theirs = getattr(part.reference, field.name), getattr(part.candidate, field.name)
        change = getattr(part.difference, field.name)
        assert change.value == pytest.approx(theirs.value - ours.value)
        assert change.low <= change.value <= change.high


def test_the_difference_is_paired() -> None:
    # Two models that make the same mistakes: each is uncertain against people, their difference is not.
    people = opinions(200, 2)
    p = opinions(200, 3, near=people, by=0.5)
    part = compare(named(200), p, opinions(200, 4, near=p, by=0.01), people).against_people
    assert part is not None
    for name in ("srcc", "plcc", "mae"):
        alone, change = getattr(part.reference, name), getattr(part.difference, name)
        assert change.high - change.low < 0.2 * (alone.high - alone.low)
    same = compare(named(200), p, p, people).against_people
    assert same is not None
    for change in asdict(same.difference).values():
        assert change == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_constant_baselines_in_closed_form() -> None:
    people = one_bin(4, 6, 6, 8)
    part = compare(list("abcd"), one_bin(5, 5, 5, 5), one_bin(6, 6, 6, 6), people).against_people
    assert part is not None
    b = part.baselines
    assert (b.good_accuracy, b.accuracy, b.mae) == (0.75, 0.75, 1.0)
    assert b.histogram == (0, 0, 0, 0.25, 0, 0.5, 0, 0.25, 0, 0)
    # CDF gaps to the mean histogram: on 4, .75 .75 .25 .25; on 6 (twice), .25 at four; on 8, .25 .25 .75 .75.
    assert b.emd_r1 == pytest.approx((0.2 + 0.1 + 0.1 + 0.2) / 4)
    assert part.candidate.accuracy.value == 0.75
    low = compare(list("abc"), one_bin(5, 5, 5), one_bin(5, 5, 5), one_bin(2, 3, 6)).against_people
    assert low is not None
    assert low.baselines.accuracy == pytest.approx(2 / 3)  # the mean histogram says "bad"
    assert low.baselines.good_accuracy == pytest.approx(1 / 3)


def test_photographs_without_ratings_are_told_and_left_out_of_people_and_bins() -> None:
    people = opinions(30, 2)
    people[[3, 7]] = np.nan
    c = compare(named(30), opinions(30), opinions(30, 1), people)
    part = c.against_people
    assert part is not None
    assert part.n == 28
    assert part.unrated == ("p/0003.jpg", "p/0007.jpg")
    assert c.n == c.agreement.n == 30
    assert c.bins_of == "people"
    assert sum(one.agreement.n for one in c.bins) == 28
    one = c.bins[0]
    assert one.reference_error is not None


def test_a_mean_of_people_that_is_5_but_for_rounding_is_on_the_good_side() -> None:
    votes = np.array([26, 33, 30, 25, 37, 15, 15, 38, 6, 21])
    assert votes @ RATINGS == 5 * votes.sum()
    # As a float, scaled to sum to 1 first, the mean is 4.999999999999999.
    people = np.tile(votes, (3, 1))
    part = compare(list("abc"), one_bin(6, 6, 6), one_bin(4, 4, 4), people).against_people
    assert part is not None
    assert part.reference.accuracy.value == part.baselines.good_accuracy == 1.0
    assert part.candidate.accuracy.value == 0.0


# What is not defined


@pytest.mark.parametrize("n", [1, 2, 3, 9])
def test_few_photographs_are_nan_with_a_reason_and_no_warning(n: int) -> None:
    c = compare(named(n), opinions(n), opinions(n, 1), opinions(n, 2))
    why = why_undefined(c)
    assert why["intervals"] == why["people.intervals"] == f"{n} photograph{'s' if n > 1 else ''}; an interval takes 10"
    assert ("agreement.srcc" in why) == ("people.candidate.srcc" in why) == (n == 1)
    document = as_document(c)
    assert document["intervals"]["mae"] is None
    assert (document["agreement"]["srcc"] is None) == (n == 1)


def test_constants_are_nan_with_the_side_that_is_constant() -> None:
    same = np.tile(opinions(1, 5), (40, 1))
    other = opinions(40, 1)
    why = why_undefined(compare(named(40), same, other, opinions(40, 2)))
    assert why["agreement.srcc"] == why["agreement.spread_ratio"] == "all of the reference's means are the same"
    assert why["people.reference.plcc"] == why["people.difference.plcc"]
    assert "people.candidate.plcc" not in why
    why = why_undefined(compare(named(40), other, same))
    assert why["agreement.srcc"] == "all of the candidate's means are the same"
    assert "agreement.spread_ratio" not in why
    why = why_undefined(compare(named(40), other, opinions(40, 2), same))
    assert why["people.candidate.srcc"] == "all of people's means are the same"


def test_every_null_of_the_document_has_a_reason() -> None:
    for n in (1, 2, 12):
        for p in (opinions(n), np.tile(opinions(1), (n, 1))):
            document = as_document(compare(named(n), p, opinions(n, 1), opinions(n, 2)))
            for name, value in document["agreement"].items():
                assert (value is None) == (f"agreement.{name}" in document["undefined"])
            for number, row in enumerate(document["bins"]["rows"]):
                for name, value in row.items():
                    assert (value is None) == (f"bins.{number}.{name}" in document["undefined"]), name
            for side in ("reference", "candidate", "difference"):
                for name, found in document["people"][side].items():
                    path = f"people.{side}.{name}"
                    assert (found["value"] is None) == (path in document["undefined"])
                    if found["interval"] is None:
                        assert {path, f"{path}.interval", "people.intervals"} & set(document["undefined"])


@pytest.mark.parametrize(
    ("names", "reference", "candidate", "people", "words"),
    [
        ([], np.zeros((0, 10)), np.zeros((0, 10)), None, "at least one photograph"),
        (["a"], one_bin(5), one_bin(5, 6), None, "same photographs"),
        (["a", "b"], one_bin(5), one_bin(5), None, "2 names for 1 photographs"),
        (["a"], np.zeros((1, 10)), one_bin(5), None, "all zero"),
        (["a"], -one_bin(5), one_bin(5), None, "negative"),
        (["a"], one_bin(5), np.full((1, 10), np.nan), None, "not finite"),
        (["a"], one_bin(5), one_bin(5), one_bin(5, 6), r"shape \(2, 10\)"),
        (["a"], one_bin(5), one_bin(5), np.full((1, 10), np.nan), "none of the photographs has"),
        (["a"], one_bin(5), one_bin(5), np.zeros((1, 10)), "all zero"),
    ],
    ids=range(9),
)
def test_arrays_that_cannot_be_compared_are_refused(
    names: list[str], reference: Floats, candidate: Floats, people: Floats | None, words: str
) -> None:
    with pytest.raises(RequestError, match=words):
        compare(names, reference, candidate, people)


# Names


@pytest.mark.parametrize(
    ("reference", "candidate", "pairs", "rule", "words"),
    [
        (["a.jpg", "b.jpg"], ["b.jpg", "a.jpg"], [("a.jpg", "a.jpg"), ("b.jpg", "b.jpg")], "path", "by path"),
        (["p/a.jpg", "p/q/b.jpg"], ["a.jpg", "q/b.jpg"], [("p/a.jpg", "a.jpg"), ("p/q/b.jpg", "q/b.jpg")], "path",
         "without the reference's 'p'"),
        (["/data/p/a.jpg"], ["./a.jpg"], [("/data/p/a.jpg", "./a.jpg")], "path", "'/data/p'"),
        (["/x/1/a.jpg", "/x/2/a.jpg"], ["y/2/a.jpg", "y/1/a.jpg"],
         [("/x/1/a.jpg", "y/1/a.jpg"), ("/x/2/a.jpg", "y/2/a.jpg")], "path", "candidate's 'y'"),
        # The candidate saw one folder of two: what all its names share is more than what the reference's do.
        (["d/1/a.jpg", "d/2/a.jpg"], ["e/2/a.jpg"], [("d/2/a.jpg", "e/2/a.jpg")], "path", "candidate's 'e'"),
        (["p/1.jpg", "p/2.jpg"], ["q/2.png", "q/r/1.webp"], [("p/1.jpg", "q/r/1.webp"), ("p/2.jpg", "q/2.png")], "id",
         "by id"),
        # Twice the same id on one side: nobody knows which is meant.
        (["x/1.jpg", "y/1.jpg", "y/2.jpg"], ["1.png", "2.png"], [("y/2.jpg", "2.png")], "id", "unique"),
        (["Gro\u0308\u00dfe.jpg"], ["Gr\u00f6\u00dfe.jpg"], [("Gro\u0308\u00dfe.jpg", "Gr\u00f6\u00dfe.jpg")], "path",
         "by path"),
        (["a.jpg"], ["b.jpg"], [], "id", "by id"),
    ],
    ids=range(9),
)  # fmt: skip
def test_names_of_two_machines(
    reference: list[str], candidate: list[str], pairs: list[tuple[str, str]], rule: str, words: str
) -> None:
    found, by, told = join_names(reference, candidate)
    assert (found, by) == (pairs, rule)
    assert words in told


def test_the_longest_agreement_of_paths_wins() -> None:
    # Without "p" and "q" two would join; without anything one does.
    assert join_names(["p/a.jpg", "p/b.jpg"], ["q/a.jpg", "q/b.jpg"])[0] == [
        ("p/a.jpg", "q/a.jpg"), ("p/b.jpg", "q/b.jpg"),
    ]  # fmt: skip


def test_many_names_in_deep_folders_are_joined() -> None:
    names = [f"/a/b/c/d/e/f/{i % 100}/{i}.jpg" for i in range(20_000)]
    assert len(join_names(names, [f"x/{name}" for name in names])[0]) == 20_000


# Files


def test_records_are_joined_and_what_is_left_over_is_listed(tmp_path: Path) -> None:
    p = opinions(6)
    ours = [record(f"big/{i}.jpg", p[i]) for i in range(5)] + [record("big/torn.jpg")]
    theirs = [record(f"pi/{i}.jpg", p[i], "int8@89abcdef") for i in (4, 3, 2)]
    theirs += [record("pi/1.jpg", None, "int8@89abcdef"), record("pi/torn.jpg", p[5], "int8@89abcdef")]
    theirs += [record("pi/new.jpg", p[5], "int8@89abcdef")]
    c = both(tmp_path, ours, theirs)
    assert c.names == ("big/2.jpg", "big/3.jpg", "big/4.jpg")
    assert c.agreement.mae == 0
    assert c.join is not None
    assert (c.join.missing, c.join.extra) == (("big/0.jpg",), ("pi/new.jpg",))
    assert [(one.name, one.side, one.error) for one in c.join.unscored] == [
        ("big/1.jpg", "candidate", "damaged: torn"),
        ("big/torn.jpg", "reference", "damaged: torn"),
    ]
    assert (c.reference_name, c.candidate_name) == ("net@01234567 (ref.jsonl)", "int8@89abcdef (cand.jsonl)")
    assert c.preprocessing == HOW
    assert c.warnings == ()
    document = as_document(c)
    assert document["join"]["missing"] == ["big/0.jpg"]
    assert document["join"]["unscored"][0]["error"] == "damaged: torn"


def test_records_of_both_forms_compare(tmp_path: Path) -> None:
    records = [record(f"{i}.jpg", row) for i, row in enumerate(opinions(4))]
    other = [replace(one, model="x@0") for one in records]
    c = compare_records(write(tmp_path / "r.csv", records), write(tmp_path / "c.ndjson", other))
    assert c.agreement.maximum == 0


def test_another_preprocessing_is_refused_with_both_shown(tmp_path: Path) -> None:
    other = Preprocessing(filter="lanczos", antialias=True).describe()
    with pytest.raises(RequestError, match="different preprocessing") as caught:
        both(tmp_path, [record("a", one_bin(5)[0])], [record("a", one_bin(5)[0], how=other)])
    assert HOW in str(caught.value)
    assert other in str(caught.value)
    assert "\n" not in str(caught.value)


def test_where_the_scaling_is_done_is_the_same_preprocessing(tmp_path: Path) -> None:
    host = Preprocessing(scaling="host").describe()
    assert host != HOW
    c = both(tmp_path, [record("a", one_bin(5)[0])], [record("a", one_bin(5)[0], "m@1", host)])
    assert c.warnings == ()


def test_records_that_do_not_say_their_preprocessing_are_warned_of(tmp_path: Path) -> None:
    p = opinions(3)
    ours = [record(str(i), p[i], how=None if i else HOW) for i in range(3)]
    theirs = [record(str(i), p[i], "m@1", None) for i in range(3)]
    c = both(tmp_path, ours, theirs)
    assert len(c.warnings) == 2
    assert "2 of 3 records in ref.jsonl" in c.warnings[0]
    assert "3 of 3 records in cand.jsonl" in c.warnings[1]


def test_the_same_model_and_files_of_another_size_are_told(tmp_path: Path) -> None:
    p = opinions(2)
    records = [record(str(i), p[i]) for i in range(2)]
    c = compare_records(write(tmp_path / "r.jsonl", records, size=10), write(tmp_path / "c.jsonl", records, size=11))
    assert c.join is not None
    assert c.join.other_size == ("0", "1")
    assert any("compares machines" in line for line in c.warnings)
    assert any("2 photographs are files of another size" in line for line in c.warnings)


def test_a_mix_within_one_file_is_refused(tmp_path: Path) -> None:
    p = one_bin(5)[0]
    good = [record("a", p)]
    crop = Preprocessing(fit="crop").describe()
    for mixed, words in (
        ([record("a", p), record("b", p, "other@1")], "2 models: 'net@01234567' and 'other@1'"),
        ([record("a", p), record("b", p, how=crop)], "2 preprocessings"),
        ([record("a", p), record("b", p), record("a", p)], "2 records of 'a'"),
    ):
        for pair in ((mixed, good), (good, mixed)):
            with pytest.raises(RequestError, match=words):
                both(tmp_path, *pair)


def line(**changes: Any) -> str:
    row = {**asdict(record("a.jpg", one_bin(5)[0])), "size": 1, "mtime_ns": 1, **changes}
    return json.dumps(row) + "\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "holds no score records"),
        ("\n\n", "holds no score records"),
        ("hello\n", "not a file of score records"),
        ("image_id,n1,n2\n1,2,3\n", "not a file of score records"),
        (line(distribution=None), "no distribution of 'a.jpg'"),
        (line(distribution=[0.0] * 10), "all zero"),
        (line(distribution=[-1.0] + [1.0] * 9), "negative"),
        (line(distribution=[math.nan] * 10), "not finite"),
        (line(mean=6.0), "its mean is 6, that of its distribution is 5"),
        (line(mean=math.nan), "its mean is nan"),
        (line(name="b.jpg"), "no photograph in common"),
        (line(mean=None, std=None, distribution=None, error="torn"), "no photograph has a score in both"),
    ],
    ids=range(12),
)
def test_a_file_that_cannot_be_compared_is_one_line(tmp_path: Path, content: str, words: str) -> None:
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
    good.write_text(line(), encoding="utf-8")
    bad.write_text(content, encoding="utf-8")
    for pair in ((good, bad), (bad, good)):
        with pytest.raises(RequestError, match=words) as caught:
            compare_records(*pair)
        assert "\n" not in str(caught.value)


def test_a_missing_file_and_one_of_another_kind_are_one_line(tmp_path: Path) -> None:
    good = tmp_path / "good.jsonl"
    good.write_text(line(), encoding="utf-8")
    with pytest.raises(RequestError, match="No such file"):
        compare_records(good, tmp_path / "none.jsonl")
    labels = tmp_path / "labels.csv"
    labels.write_text("image_id,file,mean_rating\n1,a.jpg,5\n", encoding="utf-8")
    with pytest.raises(RequestError, match=r"not a file of score records \(csv\)"):
        compare_records(good, labels)


# Labels


def votes(p: Any) -> str:
    return ",".join(f"{share:.12g}" for share in p)


def test_labels_join_by_file_and_what_they_lack_is_told(tmp_path: Path) -> None:
    p = opinions(4)
    people = opinions(4, 9)
    header = "image_id,file," + ",".join(f"n{i}" for i in range(1, 11))
    rows = [f"{i},{i}.jpg,{votes(people[i])}" for i in (0, 2, 3)] + [f"9,other.jpg,{votes(people[1])}"]
    labels = tmp_path / "labels.csv"
    labels.write_bytes(("\ufeff" + "\r\n".join([header, *rows]) + "\r\n").encode())
    ours = [record(f"big/{i}.jpg", p[i]) for i in range(4)]
    c = both(tmp_path, ours, [replace(one, model="x@1") for one in ours], labels=labels)
    part = c.against_people
    assert part is not None
    assert part.source == "labels.csv, 3 of its 4 labels"
    assert part.unrated == ("big/1.jpg",)
    assert not part.inferred
    assert c.warnings == ()
    assert part.reference.mae.value == pytest.approx(np.abs(mean_rating(p) - mean_rating(people))[[0, 2, 3]].mean())


def test_labels_with_means_only_are_inferred_and_say_so(tmp_path: Path) -> None:
    p = opinions(3)
    labels = tmp_path / "means.csv"
    labels.write_text("image_id,mean_rating\n0,5.5\n1,2.5\n2,7\n", encoding="utf-8")
    ours = [record(f"{i}.jpg", p[i]) for i in range(3)]
    c = both(tmp_path, ours, [replace(one, model="x@1") for one in ours], labels=labels)
    part = c.against_people
    assert part is not None
    assert part.inferred
    assert any("max-entropy" in line for line in c.warnings)
    assert c.people is not None
    assert c.people[1] == pytest.approx(max_entropy_distribution(2.5))
    assert json.loads(as_json(c))["people"]["inferred_histograms"] is True


def test_labels_of_other_photographs_are_refused(tmp_path: Path) -> None:
    labels = tmp_path / "means.csv"
    labels.write_text("image_id,mean_rating\n77,5.5\n", encoding="utf-8")
    ours = [record("0.jpg", one_bin(5)[0])]
    with pytest.raises(RequestError, match="none of the 1 photographs"):
        both(tmp_path, ours, ours, labels=labels)


# JSON


def test_the_document_has_the_documented_keys_and_no_nan() -> None:
    c = compare(named(12), opinions(12), opinions(12, 1), opinions(12, 2), on="twelve", warnings=["w"])
    document = json.loads(as_json(c))
    assert list(document) == [
        "format", "format_version", "reference", "candidate", "on", "preprocessing", "n", "flip_at", "agreement",
        "bootstrap", "intervals", "bins", "people", "worst", "join", "undefined", "warnings",
    ]  # fmt: skip
    assert (document["format"], document["format_version"]) == ("edge-nima comparison", 1)
    assert list(document["people"]) == [
        "source", "n", "unrated", "inferred_histograms", "reference", "candidate", "difference", "baselines",
    ]  # fmt: skip
    assert list(document["people"]["difference"]) == [field.name for field in fields(AgainstPeople)]
    assert list(document["people"]["baselines"]["mean_histogram"]) == [
        "histogram", "accuracy", "emd_r1", "emd_r2", "mae",
    ]  # fmt: skip
    assert document["agreement"] == asdict(c.agreement)
    assert len(document["worst"]) == 10
    assert document["join"] is None
    assert "NaN" not in as_json(compare(["a"], one_bin(5), one_bin(5), one_bin(5)))
