"""Balancing touches the training split alone, keeps what it says it keeps, and names what it cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_nima.cli import run
from edge_nima.distribution import mean_rating
from edge_nima.errors import RequestError
from edge_nima.labels import Labels, rating_bins
from edge_nima_train.balance import Balancing, undersample, weigh
from edge_nima_train.manifest import Manifest, read_manifest


def manifest_of(means: list[float], split: list[str] | None = None) -> Manifest:
    n = len(means)
    labels = Labels("m.csv", "", tuple(map(str, range(n))), ("",) * n, np.array(means), None)
    return Manifest(labels, Path(), tuple(split or [""] * n), None, {"tag": tuple(f"t{i}" for i in range(n))})


def kept(done: Balancing) -> list[int]:
    return [int(key) for key in done.manifest.labels.ids]


FEW = [1.5] + [4.0] * 5 + [5.0] * 20 + [10.0] * 2  # bins 0, 3, 4 and 9


def test_each_bin_has_at_most_so_many() -> None:
    done = undersample(manifest_of(FEW), 5)
    assert [one.before for one in done.bins] == [1, 0, 0, 5, 20, 0, 0, 0, 0, 2]
    assert [one.after for one in done.bins] == [1, 0, 0, 5, 5, 0, 0, 0, 0, 2]
    assert len(done.manifest) == 13
    assert done.manifest.columns["tag"] == tuple(f"t{i}" for i in kept(done))
    assert "warning: rating bins 1.9-2.8, 2.8-3.7, 5.5-6.4, 6.4-7.3, 7.3-8.2, 8.2-9.1: no photograph to train on" in (
        done.notes
    )
    assert "rating bins of fewer than 5 are kept whole: 1-1.9 has 1, 9.1-10 has 2" in done.notes


def test_top_is_by_votes_and_then_by_order() -> None:
    counts = np.zeros((8, 10))
    counts[:, 4] = [3, 9, 9, 1, 9, 2, 8, 8]
    labels = Labels("m", "", tuple(map(str, range(8))), ("",) * 8, mean_rating(counts), counts)
    manifest = Manifest(labels, Path(), ("",) * 8, None, {})
    assert kept(undersample(manifest, 2)) == [1, 2]
    assert kept(undersample(manifest, 4)) == [1, 2, 4, 6]


def test_top_of_proportions_and_of_means_is_by_order() -> None:
    random = np.random.default_rng(0)
    shares = random.dirichlet(np.full(10, 50.0), 100)
    labels = Labels("m", "", tuple(map(str, range(100))), ("",) * 100, np.full(100, 5.0), shares)
    assert kept(undersample(Manifest(labels, Path(), ("",) * 100, None, {}), 7)) == list(range(7))
    assert kept(undersample(manifest_of([5.0] * 20), 3)) == [0, 1, 2]


def test_random_is_seeded_and_other_than_the_top() -> None:
    manifest = manifest_of([5.0] * 200)
    one, again, other = (kept(undersample(manifest, 20, choose="random", seed=seed)) for seed in (1, 1, 2))
    assert one == again != other
    assert one != list(range(20))
    assert len(set(one) & set(other)) < 10


def test_random_is_fair() -> None:
    drawn = np.zeros(40)
    for seed in range(300):
        drawn[kept(undersample(manifest_of([5.0] * 40), 10, choose="random", seed=seed))] += 1
    assert abs(drawn - 75).max() < 4.5 * (300 * 0.25 * 0.75) ** 0.5


MEANS = st.lists(st.floats(1, 10), min_size=2, max_size=60)


@settings(max_examples=80)
@given(MEANS, st.integers(1, 12), st.sampled_from(["top", "random"]), st.data())
def test_what_balancing_promises(means: list[float], bins: int, choose: str, data: st.DataObject) -> None:
    split = data.draw(st.lists(st.sampled_from(["train", "val", "test", ""]), min_size=len(means), max_size=len(means)))
    split[0] = "train"
    trains = [row for row, name in enumerate(split) if name == "train"]
    where = rating_bins(means, bins)
    before = np.bincount(where[trains], minlength=bins)
    manifest = manifest_of(means, split)
    if before.max() == 1:
        with pytest.raises(RequestError):
            undersample(manifest, 1, bins=bins, choose=choose)
        return
    per_bin = data.draw(st.integers(1, int(before.max()) - 1))
    done = undersample(manifest, per_bin, bins=bins, choose=choose)
    left = kept(done)
    assert left == sorted(left)
    assert {row for row in range(len(means)) if split[row] != "train"} <= set(left)
    after = np.bincount([where[row] for row in left if split[row] == "train"], minlength=bins)
    assert after.tolist() == np.minimum(before, per_bin).tolist() == [one.after for one in done.bins]
    assert done.untouched == len(means) - len(trains)


@settings(max_examples=80)
@given(MEANS, st.integers(1, 12), st.floats(1.01, 100))
def test_what_weights_promise(means: list[float], bins: int, most: float) -> None:
    split = ["train" if row % 3 else "val" for row in range(len(means))]
    done = weigh(manifest_of(means, split), bins=bins, most=most)
    weights = done.manifest.weights
    assert weights is not None
    trains = done.manifest.rows("train")
    assert len(done.manifest) == len(means)
    assert weights[trains].mean() == pytest.approx(1)
    assert weights[trains].max() / weights[trains].min() <= most * (1 + 1e-9)
    assert (weights[done.manifest.rows("val")] == 1).all()
    assert sum(one.after for one in done.bins) == pytest.approx(len(trains))
    where = rating_bins(np.array(means), bins)
    for row in trains:
        for other in trains:
            if where[row] == where[other]:
                assert weights[row] == weights[other]


def test_weights_without_a_cap_even_out_the_bins() -> None:
    done = weigh(manifest_of(FEW), most=1e6)
    full = [one.after for one in done.bins if one.before]
    np.testing.assert_allclose(full, len(FEW) / 4)
    capped = weigh(manifest_of(FEW), most=2)
    assert "rating bins held to 2 times the weight of the fullest: 1-1.9, 4.6-5.5" not in capped.notes
    assert "rating bins held to 2 times the weight of the fullest: 1-1.9, 3.7-4.6, 9.1-10" in capped.notes


@pytest.mark.parametrize("per_bin", [20, 21, 10**6])
def test_more_than_any_bin_has(per_bin: int) -> None:
    with pytest.raises(RequestError, match=r"nothing would be balanced; the largest, 4\.6-5\.5, has 20: .* 1 to 19"):
        undersample(manifest_of(FEW), per_bin)


def test_bins_that_all_have_one() -> None:
    with pytest.raises(RequestError, match="no rating bin has more than one photograph: there is nothing to balance"):
        undersample(manifest_of([1.0, 5.0, 9.5]), 1)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda m: undersample(m, 0), "--per-bin 0; possible: 1 or more"),
        (lambda m: undersample(m, 2, bins=0), "0 rating bins; possible: 1 to 1000"),
        (lambda m: undersample(m, 2, choose="best"), "choose 'best'; possible: top, random"),
        (lambda m: weigh(m, most=1.0), "--most 1; possible: above 1"),
        (lambda m: weigh(m, most=float("nan")), "--most nan"),
        (lambda m: weigh(m, bins=2000), "2000 rating bins"),
        (lambda m: weigh(manifest_of([5.0, 5.0], ["val", "test"])), "no photograph is in the training split"),
    ],
)
def test_impossible_requests(call: object, told: str) -> None:
    with pytest.raises(RequestError, match=told):
        call(manifest_of(FEW))  # type: ignore[operator]


def test_weights_that_were_there_are_replaced_and_that_is_told(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("file,mean_rating,weight\na,6,7\nb,7,1\nc,7,1\n")
    done = weigh(read_manifest(path))
    assert done.manifest.weights is not None
    assert done.manifest.weights.tolist() == [1.5, 0.75, 0.75]
    assert "the manifest had weights: they are replaced" in done.notes


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "m.csv", tmp_path / "new.csv"
    rows = [f"{i}.jpg,{mean},{'val' if i % 4 == 0 else 'train'}\n" for i, mean in enumerate(FEW)]
    path.write_text("file,mean_rating,split\n" + "".join(rows))
    base = ["data", "balance", str(path), "--out", str(out)]
    for options, told in {
        (): "give --per-bin N, which discards, or --weights, which does not: one of the two",
        ("--per-bin", "2", "--weights"): "one of the two",
        ("--per-bin", "2", "--top", "--random"): "--top and --random: give one of the two",
        ("--weights", "--random"): "--weights keeps all",
        ("--per-bin", "2", "--seed", "1"): "--seed is of --random",
        ("--per-bin", "2", "--most", "3"): "--most is of --weights",
        ("--per-bin", "100"): "nothing would be balanced; the largest, 4.6-5.5, has 15",
    }.items():
        assert run([*base, *options]) == 2
        assert told in capsys.readouterr().err
        assert not out.exists()
    assert run([*base, "--per-bin", "2"]) == 0
    told = capsys.readouterr()
    assert "4.6-5.5" in told.out
    assert "warning: rating bins" in told.err
    done = read_manifest(out)
    assert len(done) == 7 + len(done.rows("train"))
    assert run([*base, "--per-bin", "2"]) == 2
    assert "--overwrite replaces it" in capsys.readouterr().err
    assert run([*base, "--per-bin", "2", "--random", "--seed", "3", "--overwrite"]) == 0
    assert run([*base, "--weights", "--overwrite"]) == 0
    assert read_manifest(out).weights is not None
