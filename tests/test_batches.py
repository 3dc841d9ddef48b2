"""Batches: what a network is given is what was planned, whoever decodes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_nima.errors import RequestError
from edge_nima.pixels import Preprocessing
from edge_nima_train.batches import Loader, decode
from edge_nima_train.config import Augment
from edge_nima_train.features import cached_features, plan_view
from edge_nima_train.manifest import Manifest, read_manifest
from edge_nima_train.order import plan_epoch
from edge_nima_train.pack import pack
from edge_nima_train.shards import Shards, open_shards


@pytest.fixture(scope="module")
def manifest(noise_photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    path = tmp_path_factory.mktemp("labels") / "labels.csv"
    files = sorted(noise_photographs.glob("*.png"))
    lines = [f"{i},{file.name},{2 + i % 7},{'val' if i % 5 == 0 else 'train'}" for i, file in enumerate(files)]
    path.write_text("image_id,file,mean_rating,split\n" + "\n".join(lines) + "\n")
    return read_manifest(path, noise_photographs)


@pytest.fixture(scope="module")
def shards(manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Shards:
    out = tmp_path_factory.mktemp("shards") / "s"
    pack(manifest, out, size=40, preprocessing=Preprocessing(32, 32, filter="bilinear", antialias=True))
    return open_shards(out)


def test_batches_are_the_planned_crops(shards: Shards) -> None:
    plan = plan_epoch(0, 2, 0, shards.rows("train"), batch=5, slack=8)
    with Loader(shards, 32, workers=3) as loader:
        batches = list(loader.batches(plan, 5))
    assert [pixels.shape for pixels, _ in batches] == [(5, 32, 32, 3)] * 3
    for number, (pixels, rows) in enumerate(batches):
        for i, row in enumerate(rows):
            at = number * 5 + i
            assert row == plan.rows[at]
            cut = decode(shards.read(int(row)))[plan.top[at] : plan.top[at] + 32, plan.left[at] : plan.left[at] + 32]
            assert np.array_equal(pixels[i], cut[:, ::-1] if plan.mirrored[at] else cut)
    assert plan.mirrored.any()
    assert not plan.mirrored.all()


def test_beginning_later_gives_the_rest_whatever_the_threads(shards: Shards) -> None:
    plan = plan_epoch(0, 2, 0, shards.rows("train"), batch=3, slack=8)
    with Loader(shards, 32, workers=1) as one, Loader(shards, 32, workers=4) as four:
        whole, rest = list(one.batches(plan, 3)), list(four.batches(plan, 3, first=2))
    assert len(rest) == len(whole) - 2
    for (a, rows), (b, again) in zip(whole[2:], rest, strict=True):
        assert np.array_equal(a, b)
        assert np.array_equal(rows, again)


def test_a_damaged_record_names_its_photograph(shards: Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_epoch(0, 2, 0, shards.rows("train"), batch=5, slack=8)
    monkeypatch.setattr(Shards, "read", lambda self, row: b"no picture")
    with Loader(shards, 32) as loader, pytest.raises(RequestError, match=r"'\d\d.png' of .* does not decode"):
        list(loader.batches(plan, 5))


def test_validation_pictures_come_in_order(shards: Shards) -> None:
    rows = shards.rows("val")
    with Loader(shards, 32, workers=2) as loader:
        got = list(loader.pictures(rows))
    assert len(got) == len(rows) == 4
    for pixels, row in zip(got, rows, strict=True):
        assert np.array_equal(pixels, decode(shards.read(int(row))))
        assert pixels.shape == (32, 32, 3)


def test_views_are_centre_mirror_and_draws_of_their_own() -> None:
    rows, on = np.arange(50), Augment()
    centre, mirror, third, fourth = (plan_view(0, view, rows, 8, on) for view in range(4))
    assert (centre.left == 4).all()
    assert not centre.mirrored.any()
    assert mirror.mirrored.all()
    assert not np.array_equal(third.left, fourth.left)
    assert all(np.array_equal(view.rows, rows) for view in (centre, mirror, third, fourth))
    assert not plan_view(0, 1, rows, 8, Augment(flip=False)).mirrored.any()


def test_features_are_kept_and_gone_on_with(shards: Shards, tmp_path: Path) -> None:
    rows = shards.rows("train")
    plans = [plan_view(0, view, rows, 8, Augment()) for view in range(2)]
    asked: list[int] = []

    def base(pixels: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        asked.append(len(pixels))
        return pixels.reshape(len(pixels), -1)[:, :7].astype(np.float32)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with Loader(shards, 32) as loader:
        with pytest.raises(KeyboardInterrupt):
            cached_features(tmp_path, base, 7, loader, plans, "key", stop)
        kept = np.array(cached_features(tmp_path, base, 7, loader, plans, "key", lambda done, total: None))
        asked.clear()
        again = cached_features(tmp_path, base, 7, loader, plans, "key", lambda done, total: None)
        assert asked == []
        other = cached_features(tmp_path, base, 7, loader, plans, "another key", lambda done, total: None)
    assert kept.shape == (2, len(rows), 7)
    assert np.array_equal(kept, again)
    assert np.array_equal(kept, other)
    for view, plan in enumerate(plans):
        for i, row in enumerate(rows):
            cut = decode(shards.read(int(row)))[4:36, 4:36]
            expected = (cut[:, ::-1] if plan.mirrored[i] else cut).reshape(-1)[:7]
            assert np.array_equal(kept[view, i], expected.astype(np.float32))
