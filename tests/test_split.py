"""Splits do not depend on order or company, groups stay whole, and what is odd about one is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_nima.cli import run
from edge_nima.errors import RequestError
from edge_nima.labels import Labels, read_id_list
from edge_nima_train.manifest import Manifest, read_manifest
from edge_nima_train.split import gap_of_means, place, split


def manifest_of(ids: list[str], split: tuple[str, ...] | None = None, **columns: list[str]) -> Manifest:
    n = len(ids)
    means = np.random.default_rng(n).uniform(1, 10, n)
    labels = Labels("m.csv", "", tuple(ids), ("",) * n, means, np.ones((n, 10)))
    return Manifest(labels, Path(), split or ("",) * n, None, {name: tuple(cells) for name, cells in columns.items()})


def splits(manifest: Manifest, **how: object) -> dict[str, str]:
    done = split(manifest, **how).manifest  # type: ignore[arg-type]
    return dict(zip(done.labels.ids, done.split, strict=True))


IDS = [str(number) for number in range(2000)]


def test_the_split_is_for_ever() -> None:
    """As `printf edge_nima953619 | sha256sum` has it: another hash would move photographs between splits."""
    assert place("edge_nima", "953619") == pytest.approx(0x3CD47FCC286717B4 / 2**64)
    found = splits(manifest_of(IDS))
    assert all((found[key] == "val") == (place("edge_nima", key) < 0.1) for key in IDS)


def test_a_tenth_validates() -> None:
    share = sum(name == "val" for name in splits(manifest_of(IDS)).values()) / len(IDS)
    assert abs(share - 0.1) < 4 * (0.1 * 0.9 / len(IDS)) ** 0.5


@settings(max_examples=40)
@given(st.lists(st.text("0123456789abc", min_size=1), unique=True, min_size=3, max_size=40), st.data())
def test_order_and_company_change_nothing(ids: list[str], data: st.DataObject) -> None:
    ids = [*ids, *IDS[100:140]]  # enough for training to be left something
    ids = list(dict.fromkeys(ids))
    whole = splits(manifest_of(ids), validation=0.3)
    part = [*data.draw(st.permutations(ids)), "one more"]
    fewer = data.draw(st.lists(st.sampled_from(IDS[100:140]), unique=True, max_size=10))
    part = [key for key in part if key not in fewer]
    again = splits(manifest_of(part), validation=0.3)
    assert all(again[key] == whole[key] for key in part[:-1])


def test_a_larger_share_holds_the_smaller_one() -> None:
    small, large = (splits(manifest_of(IDS), validation=share) for share in (0.1, 0.3))
    assert all(large[key] == "val" for key in IDS if small[key] == "val")


def test_another_salt_another_choice() -> None:
    one, two = splits(manifest_of(IDS)), splits(manifest_of(IDS), salt="b")
    both = sum(one[key] == two[key] == "val" for key in IDS)
    assert 0 < both < 50  # of 200 each, 20 by chance


def test_the_list_is_the_test_and_the_rest_is_as_without_it() -> None:
    without, done = splits(manifest_of(IDS)), split(manifest_of(IDS), test=["5", "17", "99999"])
    found = dict(zip(IDS, done.manifest.split, strict=True))
    assert [key for key in IDS if found[key] == "test"] == ["5", "17"]
    assert all(found[key] == without[key] for key in IDS if found[key] != "test")
    assert done.unused == ("1 of the 3 test ids are not in the manifest: 99999",)
    assert sum(done.counts.values()) == len(IDS)


def test_ids_with_zeros_before_and_files_without_ids(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("file,mean_rating\n" + "".join(f"x/{i:05}.jpg,6\n" for i in range(50)))
    done = split(read_manifest(path), test=["7", "8"])
    assert done.manifest.rows("test").tolist() == [7, 8]


def test_groups_stay_whole() -> None:
    themes = [str(number % 83) for number in range(len(IDS))]
    done = split(manifest_of(IDS, theme=themes), group_by="Theme", validation=0.3)
    held = {theme: {s for s, t in zip(done.manifest.split, themes, strict=True) if t == theme} for theme in themes}
    assert all(len(names) == 1 for names in held.values())
    assert 0 < done.counts["val"] < len(IDS) / 2


def test_a_group_with_test_photographs_is_in_nothing_else() -> None:
    themes = [str(number % 10) for number in range(100)]
    done = split(manifest_of(IDS[:100], theme=themes), group_by="theme", test=["3", "13"])
    assert done.counts["test"] == 2
    assert {t for s, t in zip(done.manifest.split, themes, strict=True) if s == ""} == {"3"}
    assert "8 photographs share their theme with the test: in none" in done.unused


def test_empty_groups_are_no_group() -> None:
    assert splits(manifest_of(IDS, theme=[""] * len(IDS)), group_by="theme") == splits(manifest_of(IDS))


def test_copies_in_two_splits_are_told_and_can_be_kept_together() -> None:
    copies = [f"{number // 2}" for number in range(len(IDS))]
    manifest = manifest_of(IDS, sha256=copies)
    torn = next(line for line in split(manifest).notes if "same bytes" in line)
    found = list(split(manifest).manifest.split)
    assert torn.startswith(f"{2 * sum(a != b for a, b in zip(found[::2], found[1::2], strict=True)):,} photographs")
    whole = split(manifest, group_by="sha256")
    assert whole.manifest.split[::2] == whole.manifest.split[1::2]
    assert not any("same bytes" in line for line in whole.notes)


def test_what_is_there_can_be_kept() -> None:
    there = tuple("test" if number < 30 else "train" for number in range(200))
    done = split(manifest_of(IDS[:200], there), keep=True)
    assert done.manifest.rows("test").tolist() == list(range(30))
    assert 0 < done.counts["val"] < 60


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"validation": 1.0}, "--validation 1.0; possible: 0 to below 1"),
        ({"validation": -0.1}, "--validation -0.1"),
        ({"validation": float("nan")}, "--validation nan"),
        ({"test": ["9999"]}, r"none of the 1 test ids \(such as '9999'\) is among the 50 photographs"),
        ({"test": IDS[:50]}, "nothing is left to train on .0 train, 0 val, 50 test"),
        ({"group_by": "theme"}, "no column 'theme' to group by; possible: tag"),
    ],
)
def test_impossible_requests(how: dict[str, object], told: str) -> None:
    with pytest.raises(RequestError, match=told):
        split(manifest_of(IDS[:50], tag=["x"] * 50), **how)  # type: ignore[arg-type]


def test_no_validation_and_no_test_are_told() -> None:
    done = split(manifest_of(["1", "2"]), validation=0.0001)
    assert any(line.startswith("no test photographs") for line in done.notes)
    assert any("fell into the 0.01 % of validation" in line for line in done.notes)


def test_a_gap_that_was_cut_is_found_and_others_are_not() -> None:
    random = np.random.default_rng(1)
    whole = random.normal(5.4, 0.7, 5000)
    cut = whole[(whole < 5.364) | (whole > 5.565)]
    found = gap_of_means(cut)
    assert found is not None
    assert found == pytest.approx((5.364, 5.565), abs=0.01)
    assert gap_of_means(whole) is None
    assert gap_of_means(whole.round(1)) is None  # ratings in tenths
    assert gap_of_means(random.integers(100, 900, 100_000) / 100) is None
    assert gap_of_means(np.full(50, 5.0)) is None
    assert gap_of_means(whole[:19]) is None


@settings(max_examples=60)
@given(st.integers(20, 400), st.integers(0, 10_000))
def test_chance_leaves_no_such_gap(n: int, seed: int) -> None:
    assert gap_of_means(np.random.default_rng(seed).uniform(1, 10, n)) is None


def test_the_official_list_on_real_rows(data: Path) -> None:
    ava = data / "ava"
    manifest = read_manifest(ava / "AVA_part.txt")
    listed = read_id_list(ava / "aesthetics_image_lists" / "generic_test.jpgl")
    done = split(manifest, test=listed)
    inside = set(listed) & set(manifest.labels.ids)
    assert done.counts["test"] == len(inside) == 1959
    assert len(manifest) == sum(done.counts.values()) == 25551
    assert abs(done.counts["val"] / (len(manifest) - 1959) - 0.1) < 0.008
    (gap,) = [line for line in done.notes if "no mean rating between" in line]
    assert gap.startswith("test has no mean rating between 5.364 and 5.565")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out, ids = tmp_path / "m.csv", tmp_path / "new.csv", tmp_path / "test.jpgl"
    path.write_text("image_id,mean_rating\n" + "".join(f"{i},{1 + i % 90 / 10}\n" for i in range(100)))
    ids.write_text("3\n4\n1000\n")
    command = ["data", "split", str(path), "--out", str(out), "--test", str(ids)]
    assert run(command) == 0
    told = capsys.readouterr()
    assert "100 photographs: " in told.out
    assert "2 test, 0 in none" in told.out
    assert "not used: 1 of the 3 test ids are not in the manifest: 1000" in told.out
    assert "only mean ratings are known" in told.err
    first = out.read_text()
    assert run(command) == 2
    assert "exists: --overwrite replaces it" in capsys.readouterr().err
    assert run([*command, "--overwrite"]) == 0
    assert out.read_text() == first
    command[2], command[4] = str(out), str(tmp_path / "again.csv")
    assert run(command) == 2
    assert "has splits already" in capsys.readouterr().err
    assert run([*command, "--keep", "--resplit"]) == 2
    assert "give one of the two" in capsys.readouterr().err
    assert run([*command, "--resplit"]) == 0
    assert Path(command[4]).read_text() == first
    assert run(["data", "split", str(path), "--out", str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err
