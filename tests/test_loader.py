"""Batches: what a network is given is what was planned, whoever decodes it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_nima.errors import RequestError, TrainingError
from edge_nima.pixels import Preprocessing
from edge_nima_train.features import cached_features
from edge_nima_train.loader import AHEAD, Loader, decode
from edge_nima_train.manifest import Manifest, read_manifest
from edge_nima_train.order import plan_epoch, plan_view
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
    with Loader(shards, 5, workers=3) as loader:
        batches = list(loader.batches(plan, 32, 5))
    assert [pixels.shape for pixels in batches] == [(5, 32, 32, 3)] * 3
    for at, pixels in enumerate(np.concatenate(batches)):
        whole = decode(shards.read(int(plan.rows[at])))
        assert np.array_equal(pixels, whole[plan.top[at] : plan.top[at] + 32, plan.left[at] : plan.left[at] + 32])
    assert len({(int(left), int(top)) for left, top in zip(plan.left, plan.top, strict=True)}) > 5


def test_beginning_later_gives_the_rest_whatever_the_processes(shards: Shards) -> None:
    plan = plan_epoch(0, 2, 0, shards.rows("train"), batch=1, slack=8)
    with Loader(shards, 8, workers=1) as one, Loader(shards, 3, workers=4) as four:
        whole, rest = list(one.batches(plan, 32, 3)), list(four.batches(plan, 32, 3, first=2))
    assert len(whole[-1]) == len(plan) % 3
    assert len(rest) == len(whole) - 2
    for a, b in zip(whole[2:], rest, strict=True):
        assert np.array_equal(a, b)


def test_a_batch_is_the_callers_own_and_leaving_early_does_no_harm(shards: Shards) -> None:
    plan = plan_epoch(0, 2, 0, np.repeat(shards.rows("train"), 4), batch=2, slack=8)
    with Loader(shards, 2, workers=2) as loader:
        kept = list(loader.batches(plan, 32, 2))
        assert len(kept) > 3 * AHEAD
        for _ in range(3):
            assert np.array_equal(next(loader.batches(plan, 32, 2)), kept[0])
        again = [batch.copy() for batch in loader.batches(plan, 32, 2)]
    assert all(np.array_equal(a, b) for a, b in zip(kept, again, strict=True))


def test_a_damaged_record_names_its_photograph(manifest: Manifest, tmp_path: Path) -> None:
    pack(manifest, tmp_path / "s", size=40, preprocessing=Preprocessing(32, 32, filter="bilinear", antialias=True))
    shards = open_shards(tmp_path / "s")
    row = int(shards.rows("train")[7])
    place = shards.place(row)
    with open(place.path, "r+b") as file:
        file.seek(place.offset + place.length // 2)
        file.write(b"damaged")
    plan = plan_epoch(0, 2, 0, shards.rows("train"), batch=5, slack=8)
    told = f"is damaged at '{shards.names[row]}': its bytes are not those that were packed"
    with Loader(shards, 5) as loader, pytest.raises(RequestError, match=told):
        list(loader.batches(plan, 32, 5))
    # Bytes that are those that were packed, and no picture.
    places = shards._places.copy()
    places[row, 2:] = 0
    with (
        Loader(replace(shards, _places=places), 5) as loader,
        pytest.raises(RequestError, match=f"'{shards.names[row]}': cannot identify image file"),
    ):
        list(loader.batches(plan, 32, 5))


def test_validation_pictures_come_in_order(shards: Shards) -> None:
    rows = shards.rows("val")
    with Loader(shards, 3, workers=2) as loader:
        got = np.concatenate(list(loader.pictures(rows, 32, 3)))
    assert got.shape == (4, 32, 32, 3)
    for pixels, row in zip(got, rows, strict=True):
        assert np.array_equal(pixels, decode(shards.read(int(row))))


def test_a_killed_worker_is_told_of(shards: Shards) -> None:
    plan = plan_epoch(0, 2, 0, np.repeat(shards.rows("train"), 50), batch=5, slack=8)
    with Loader(shards, 5, workers=2) as loader:
        batches = loader.batches(plan, 32, 5)
        next(batches)
        os.kill(next(iter(loader._pool._processes)), signal.SIGKILL)
        with pytest.raises(TrainingError, match="decodes photographs was killed"):
            list(batches)


def test_workers_end_when_the_trainer_is_killed(shards: Shards, tmp_path: Path) -> None:
    (tmp_path / "trainer.py").write_text(
        "import sys\n"
        "from edge_nima_train.loader import Loader\n"
        "from edge_nima_train.shards import open_shards\n"
        "if __name__ == '__main__':\n"
        "    shards = open_shards(sys.argv[1])\n"
        "    with Loader(shards, 5, workers=2) as loader:\n"
        "        list(loader.pictures(shards.rows('val'), 32, 5))\n"
        "        print(*loader._pool._processes, flush=True)\n"
        "        sys.stdin.read()\n"
    )
    command = [sys.executable, str(tmp_path / "trainer.py"), str(shards.folder)]
    trainer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert trainer.stdout is not None
    workers = [int(number) for number in trainer.stdout.readline().split()]
    assert all(Path(f"/proc/{number}").exists() for number in workers)
    trainer.kill()
    trainer.communicate()
    until = time.monotonic() + 10
    while any(Path(f"/proc/{number}").exists() for number in workers) and time.monotonic() < until:
        time.sleep(0.05)
    assert not [number for number in workers if Path(f"/proc/{number}").exists()]


def test_views_are_centre_mirror_and_draws_of_their_own() -> None:
    rows = np.arange(50)
    centre, mirror, third, fourth = (plan_view(0, view, rows, 8, crop=True, flip=True) for view in range(4))
    assert (centre.left == 4).all()
    assert not centre.mirrored.any()
    assert mirror.mirrored.all()
    assert not np.array_equal(third.left, fourth.left)
    assert all(np.array_equal(view.rows, rows) for view in (centre, mirror, third, fourth))
    assert not plan_view(0, 1, rows, 8, crop=True, flip=False).mirrored.any()


class Base:
    """In place of a network: the first seven numbers of each picture, mirrored where that is said."""

    inputs = (np.empty((1, 32, 32, 3)),)
    output = np.empty((1, 7))

    def __init__(self) -> None:
        self.asked: list[int] = []

    def predict_on_batch(self, given: list[np.ndarray]) -> np.ndarray:  # type: ignore[type-arg]
        pixels, mirrored = given
        self.asked.append(len(pixels))
        turned = np.where(mirrored[:, None, None, None], pixels[:, :, ::-1], pixels)
        return turned.reshape(len(pixels), -1)[:, :7].astype(np.float32)


def test_features_are_kept_and_gone_on_with(shards: Shards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_nima_train.features._SAVE_EVERY_S", 0.0)
    rows = shards.rows("train")
    plans = [plan_view(0, view, rows, 8, crop=True, flip=True) for view in range(2)]
    base = Base()

    def stop(done: int, total: int) -> None:
        if done > 18:  # in the second view
            raise KeyboardInterrupt

    with Loader(shards, 5) as loader:

        def features(key: str) -> np.ndarray:  # type: ignore[type-arg]
            return cached_features(tmp_path, base, loader, plans, 5, key, lambda done, total: None)

        with pytest.raises(KeyboardInterrupt):
            cached_features(tmp_path, base, loader, plans, 5, "key", stop)
        before = len(base.asked)
        kept = np.array(features("key"))
        assert before < len(base.asked) < before + 7  # not from the beginning
        assert set(base.asked) == {5}
        base.asked.clear()
        assert np.array_equal(kept, features("key"))
        assert base.asked == []
        assert np.array_equal(kept, features("another key"))
        assert len(base.asked) == 8
    assert kept.shape == (2, len(rows), 7)
    for view, plan in enumerate(plans):
        for i, row in enumerate(rows):
            cut = decode(shards.read(int(row)))[4:36, 4:36]
            expected = (cut[:, ::-1] if plan.mirrored[i] else cut).reshape(-1)[:7]
            assert np.array_equal(kept[view, i], expected.astype(np.float32))
