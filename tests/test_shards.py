"""Packing is resumable to the byte, reading is checked, and validation sees the very pixels of the device."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_nima.cli import run
from edge_nima.errors import OutputError, RequestError
from edge_nima.pixels import Preprocessing, read_input
from edge_nima_train import pack as packing
from edge_nima_train import shard_tar
from edge_nima_train.config import make_config
from edge_nima_train.inputs import open_inputs
from edge_nima_train.manifest import Manifest, read_manifest
from edge_nima_train.pack import PackReport
from edge_nima_train.run_folder import RunFolder
from edge_nima_train.shards import Shards, open_shards

N, PER_SHARD = 40, 6
HOW = Preprocessing(width=32, height=32, filter="bilinear", antialias=True)
SPLITS = ("train", "train", "val", "train", "test")


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of forty photographs, with splits and votes."""
    folder = tmp_path_factory.mktemp("pack")
    random = np.random.default_rng(11)
    lines = ["image_id,file,n1,n2,n3,n4,n5,n6,n7,n8,n9,n10,split,tag1"]
    for i in range(N):
        coarse = random.integers(0, 256, (5, 6, 3), dtype=np.uint8)
        size = (700 + i, 500)
        Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(folder / f"p{i}.jpg")
        votes = ",".join(map(str, random.integers(1, 50, 10)))
        lines.append(f"{100 + i},p{i}.jpg,{votes},{SPLITS[i % 5]},t{i}")
    path = folder / "manifest.csv"
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="session")
def packed(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed") / "shards"
    pack(read_manifest(photographs), folder)
    return folder


def pack(manifest: Manifest, out: Path, how: Preprocessing = HOW, **more: int) -> PackReport:
    settings = {"size": 40, "per_shard": PER_SHARD, **more}
    return packing.pack(manifest, out, preprocessing=how, **settings)


def contents(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def copied(packed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(packed, tmp_path / "copy"))


def pixels(shards: Shards, row: int) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(shards.read(row))))


def test_what_is_packed_is_what_the_manifest_says(photographs: Path, packed: Path) -> None:
    manifest, shards = read_manifest(photographs), open_shards(packed)
    assert len(shards) == N
    assert shards.names == manifest.names
    assert shards.image_ids == manifest.labels.ids
    assert shards.split == manifest.split
    np.testing.assert_allclose(shards.distributions, manifest.labels.distributions, atol=1e-12)
    np.testing.assert_allclose(shards.means, manifest.labels.means, atol=1e-12)
    assert not shards.inferred
    assert shards.weights is None
    assert (shards.size, shards.preprocessing) == (40, HOW)
    assert shards.rows("val").tolist() == list(range(2, N, 5))
    assert [hashlib.sha256(shards.read(row)).hexdigest() for row in range(N)] == list(shards.sha256)


def test_validation_and_test_are_the_exact_pixels_of_a_device(photographs: Path, packed: Path) -> None:
    manifest, shards = read_manifest(photographs), open_shards(packed)
    for row in (*shards.rows("val"), *shards.rows("test")):
        np.testing.assert_array_equal(pixels(shards, row), read_input(manifest.photograph(row), HOW))


def test_training_pictures_are_the_whole_photograph_by_the_same_filter(photographs: Path, packed: Path) -> None:
    manifest, shards = read_manifest(photographs), open_shards(packed)
    how = replace(HOW, width=40, height=40)
    for row in shards.rows("train"):
        true = read_input(manifest.photograph(row), how).astype(int)
        assert np.abs(pixels(shards, row) - true).mean() < 2
        picture = Image.open(io.BytesIO(shards.read(row)))
        assert picture.format == "JPEG"
        assert picture.layer == [(1, 1, 1, 0), (2, 1, 1, 1), (3, 1, 1, 1)]  # 4:4:4


def test_larger_photographs_are_reduced_first_and_the_shards_say_so(
    photographs: Path, packed: Path, tmp_path: Path
) -> None:
    manifest, how = read_manifest(photographs).only(range(8)), replace(HOW, longest_edge=160)
    pack(manifest, tmp_path / "edge", how)
    shards = open_shards(tmp_path / "edge")
    assert shards.preprocessing == how
    for row in (*shards.rows("val"), *shards.rows("test")):
        np.testing.assert_array_equal(pixels(shards, row), read_input(manifest.photograph(row), how))
        assert not np.array_equal(pixels(shards, row), read_input(manifest.photograph(row), HOW))
    with pytest.raises(RequestError, match="longest_edge 160 and not None, longest_edge_filter lanczos and not None"):
        pack(manifest, tmp_path / "edge")
    with pytest.raises(RequestError, match="longest_edge None and not 160"):
        pack(read_manifest(photographs), packed, how)
    data = {"shards": str(tmp_path / "edge"), "size": 40}
    config = make_config({"data": data, "network": {"input": 32}}, "test.toml")
    told = r"data\.longest_edge 160, .* says 0: --set data\.longest_edge=160"
    with RunFolder(tmp_path / "run", config) as folder, pytest.raises(RequestError, match=told):
        open_inputs(config, folder, lambda *_: None, lambda _: None)
    config = make_config({"data": {**data, "longest_edge": 160}, "network": {"input": 32}}, "test.toml")
    with RunFolder(tmp_path / "other", config) as folder:
        assert len(open_inputs(config, folder, lambda *_: None, lambda _: None)) == 8


def test_a_model_of_blue_first_gets_pictures_that_are_red_first(
    photographs: Path, packed: Path, tmp_path: Path
) -> None:
    pack(read_manifest(photographs), tmp_path / "bgr", replace(HOW, channel_order="BGR"))
    shards = open_shards(tmp_path / "bgr")
    assert shards.preprocessing.channel_order == "BGR"
    assert shards.sha256 == open_shards(packed).sha256


def test_any_tool_reads_the_shards(packed: Path) -> None:
    shards = open_shards(packed)
    found = {}
    for path in packed.glob("*.tar"):
        with tarfile.open(path) as tar:
            for member in tar:
                file = tar.extractfile(member)
                assert file is not None
                found[member.name] = file.read()
                assert (member.mtime, member.uid, member.uname) == (0, 0, "")
    assert len(found) == 2 * N
    for row in range(N):
        (ending,) = {name.partition(".")[2] for name in found if name.startswith(f"{row:08}.")} - {"json"}
        assert found[f"{row:08}.{ending}"] == shards.read(row)
        label = json.loads(found[f"{row:08}.json"])
        assert (label["image_id"], label["split"]) == (shards.image_ids[row], shards.split[row])
        assert label["mean_rating"] == pytest.approx(shards.means[row])


def test_reading_from_many_threads(packed: Path) -> None:
    shards = open_shards(packed)
    order = np.random.default_rng(0).integers(0, N, 2000).tolist()
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(shards.read, order))
    assert all(hashlib.sha256(one).hexdigest() == shards.sha256[row] for row, one in zip(order, read, strict=True))


def test_means_alone_weights_and_no_splits(photographs: Path, tmp_path: Path) -> None:
    labels = photographs.parent / "means.csv"
    labels.write_text("file,mean_rating,weight\n" + "".join(f"p{i}.jpg,{5 + i / 5},{i}\n" for i in range(9)))
    pack(read_manifest(labels), tmp_path / "out")
    shards = open_shards(tmp_path / "out")
    assert shards.inferred
    assert set(shards.split) == {"train"}
    assert shards.image_ids == ("",) * 9
    assert shards.weights is not None
    assert shards.weights.tolist() == list(range(9))
    np.testing.assert_allclose(shards.distributions @ np.arange(1, 11), 5 + np.arange(9) / 5, atol=1e-8)


@pytest.mark.parametrize("jobs", [1, 3])
def test_threads_change_no_byte(photographs: Path, packed: Path, tmp_path: Path, jobs: int) -> None:
    pack(read_manifest(photographs), tmp_path / "out", jobs=jobs)
    assert contents(tmp_path / "out") == contents(packed)


PACK = f"""
import sys
from edge_nima.pixels import Preprocessing
from edge_nima_train.manifest import read_manifest
from edge_nima_train.pack import pack
if len(sys.argv) > 3:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
pack(read_manifest(sys.argv[1]), __import__("pathlib").Path(sys.argv[2]), size=40, per_shard={PER_SHARD},
     preprocessing=Preprocessing(width=32, height=32, filter="bilinear", antialias=True), jobs=1)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 here")
def test_killed_again_and_again_it_ends_with_the_same_bytes(photographs: Path, packed: Path, tmp_path: Path) -> None:
    out, killed = tmp_path / "out", 0
    for shards in (0, 2, 3, 5):
        child = subprocess.Popen([sys.executable, "-c", PACK, photographs, out])
        end = time.monotonic() + 20
        while child.poll() is None and time.monotonic() < end:
            if len(list(out.glob("*-*.json"))) >= shards and list(out.glob("*.partial")):
                child.kill()
                break
        killed += child.wait() == -signal.SIGKILL
        if killed and not (out / "index.csv").exists():
            with pytest.raises(RequestError, match="was interrupted; the same command goes on"):
                open_shards(out)
    assert killed >= 2
    report = pack(read_manifest(photographs), out)
    assert report.packed < N
    assert contents(out) == contents(packed)


def test_a_full_disk_is_told_and_gone_on_from(photographs: Path, packed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    room = sorted(path.stat().st_size for path in packed.glob("*.tar"))[-1] - 1  # for all shards but the largest
    child = subprocess.run([sys.executable, "-c", PACK, photographs, out, str(room)], capture_output=True, text=True)
    assert "OutputError: cannot write" in child.stderr.splitlines()[-1]
    assert "the same command goes on" in child.stderr
    assert not list(out.glob("*.partial"))
    pack(read_manifest(photographs), out)
    assert contents(out) == contents(packed)


def test_a_disk_that_is_full_at_the_sync(
    photographs: Path, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def full(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OutputError, match=r"train-00001\.tar': No space left on device; shards that are"):
            pack(read_manifest(photographs), tmp_path / "out")
    assert (tmp_path / "out" / "train-00000.tar").is_file()
    pack(read_manifest(photographs), tmp_path / "out")
    assert contents(tmp_path / "out") == contents(packed)


def test_a_disk_that_is_too_small_is_told_before_any_shard(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9 - 5000, 5000))
    with pytest.raises(OutputError, match=r"has room for 5e-06 GB and the shards need about [\d.e-]+ GB: make room"):
        pack(read_manifest(photographs), tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.tar"))


def test_the_estimate_of_the_disk_is_near(
    photographs: Path, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = sum(path.stat().st_size for path in packed.glob("*.tar"))
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, int(used * 0.6)))
    with pytest.raises(OutputError, match="make room"):
        pack(read_manifest(photographs), tmp_path / "small")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, int(used * 1.4)))
    pack(read_manifest(photographs), tmp_path / "large")


def test_each_damaged_byte_of_a_record_is_told(photographs: Path, packed: Path, tmp_path: Path) -> None:
    folder = copied(packed, tmp_path)
    row = 7
    shards = open_shards(folder)
    content = shards.read(row)
    ((path, whole),) = [(path, whole) for path in folder.glob("*.tar") if content in (whole := path.read_bytes())]
    offset = whole.index(content)
    for at in (offset, offset + len(content) // 2, offset + len(content) - 1):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(RequestError, match=f"shard '.*{path.name}' is damaged at 'p{row}.jpg'") as caught:
            shards.read(row)
        assert "\n" not in str(caught.value)
        assert shards.read(8)  # of the others nothing is lost
    path.unlink()
    pack(read_manifest(photographs), folder)
    assert contents(folder) == contents(packed)


def test_a_shard_that_is_cut_missing_or_grown(photographs: Path, packed: Path, tmp_path: Path) -> None:
    folder = copied(packed, tmp_path)
    path = folder / "val-00000.tar"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(RequestError, match=r"val-00000.tar' is damaged: it has \d+ bytes, \d+ were packed; delete"):
        open_shards(folder)
    path.unlink()
    with pytest.raises(RequestError, match=r"val-00000.tar' cannot be read: No such file"):
        open_shards(folder)
    assert pack(read_manifest(photographs), folder).packed == PER_SHARD
    assert contents(folder) == contents(packed)


def test_a_shard_cut_while_it_is_read(packed: Path, tmp_path: Path) -> None:
    folder = copied(packed, tmp_path)
    shards = open_shards(folder)
    (folder / "train-00000.tar").write_bytes(b"")
    with pytest.raises(RequestError, match=r"damaged at 'p0.jpg': it ends after 0 of \d+ bytes"):
        shards.read(0)


def test_a_damaged_index(photographs: Path, packed: Path, tmp_path: Path) -> None:
    folder = copied(packed, tmp_path)
    index = folder / "index.csv"
    index.write_bytes(index.read_bytes().replace(b"p3.jpg", b"p4.jpg"))
    with pytest.raises(RequestError, match="is not what was packed; delete it and pack again"):
        open_shards(folder)
    index.unlink()
    assert pack(read_manifest(photographs), folder).packed == 0
    assert contents(folder) == contents(packed)
    state = folder / "shards.json"
    state.write_text("{")
    with pytest.raises(RequestError, match=r"shards.json' cannot be read"):
        open_shards(folder)
    state.write_text('{"format": 2}')
    with pytest.raises(RequestError, match="has format 2; this version reads 1"):
        open_shards(folder)


def test_no_shards(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(RequestError, match="holds no shards; make some: edge-nima data pack"):
            open_shards(folder)


def test_other_settings_are_refused_and_named(photographs: Path, packed: Path, tmp_path: Path) -> None:
    folder, manifest = copied(packed, tmp_path), read_manifest(photographs)
    with pytest.raises(RequestError, match="size 40 and not 48, quality 95 and not 80; --overwrite starts anew"):
        pack(manifest, folder, size=48, quality=80)
    with pytest.raises(RequestError, match="filter bilinear and not lanczos"):
        pack(manifest, folder, replace(HOW, filter="lanczos"))
    with pytest.raises(RequestError, match="photographs 40 and not 39"):
        pack(manifest.only(range(39)), folder)
    with pytest.raises(RequestError, match="from a manifest of other names, ratings, splits or weights"):
        pack(replace(manifest, split=("train",) * N), folder)
    assert pack(replace(manifest, columns={}), folder).packed == 0  # a tag more or less is not packed
    assert contents(folder) == contents(packed)
    assert pack(replace(manifest, split=("train",) * N), folder, overwrite=True).packed == N
    assert open_shards(folder).rows("val").size == 0


def test_somebody_elses_folder_is_left_alone(photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "my-00000.tar").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(RequestError, match=r"holds something else, such as 'my-00000.tar'"):
            pack(read_manifest(photographs), tmp_path, overwrite=overwrite)
    assert [path.name for path in tmp_path.iterdir()] == ["my-00000.tar"]


def test_two_runs_at_once(photographs: Path, tmp_path: Path) -> None:
    pytest.importorskip("fcntl")

    def second() -> None:
        with pytest.raises(RequestError, match="another run is packing into"):
            pack(read_manifest(photographs), tmp_path / "out")

    packing.pack(read_manifest(photographs), tmp_path / "out", size=40, preprocessing=HOW, step=second)


def test_photographs_that_cannot_be_read_are_left_out_and_named(photographs: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(photographs.parent, tmp_path / "in"))
    (folder / "p0.jpg").unlink()
    (folder / "p1.jpg").write_bytes(b"")
    (folder / "p2.jpg").write_bytes((folder / "p2.jpg").read_bytes()[:3000])
    (folder / "p3.jpg").write_text("no picture")
    steps = []
    report = packing.pack(
        read_manifest(folder / "manifest.csv"), tmp_path / "out", size=40, preprocessing=HOW, per_shard=PER_SHARD,
        step=lambda: steps.append(1),
    )  # fmt: skip
    assert len(steps) == N
    assert [name for name, _ in report.left_out] == ["p0.jpg", "p1.jpg", "p3.jpg", "p2.jpg"]
    why = dict(report.left_out)
    assert "No such file" in why["p0.jpg"]
    assert "0 bytes" in why["p1.jpg"]
    assert "damaged" in why["p2.jpg"]
    assert "not a picture" in why["p3.jpg"]
    shards = open_shards(tmp_path / "out")
    assert shards.names == tuple(f"p{i}.jpg" for i in range(4, N))
    manifest = read_manifest(photographs)
    np.testing.assert_allclose(shards.distributions, manifest.labels.distributions[4:], atol=1e-12)
    assert pixels(shards, 0).tobytes() == read_input(manifest.photograph(4), HOW).tobytes()


def test_no_photograph_there_or_readable(photographs: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"none of the 40 photographs is there \(such as .*--images FOLDER"):
        pack(read_manifest(photographs, tmp_path), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    for i in range(3):
        (tmp_path / f"p{i}.jpg").write_bytes(b"x")
    with pytest.raises(RequestError, match=r"none of the 3 photographs can be read, such as 'p0\.jpg': not a picture"):
        pack(read_manifest(photographs, tmp_path).only([0, 1, 2]), tmp_path / "out")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"size": 31}, "--size 31; possible: 32, the model's input, to 4096"),
        ({"size": 5000}, "--size 5000"),
        ({"quality": 0}, "--quality 0; possible: 1 to 100"),
        ({"quality": 101}, "--quality 101"),
        ({"jobs": 0}, "--jobs 0; possible: 1 or more"),
        ({"per_shard": 0}, "0 photographs in a shard"),
    ],
)
def test_impossible_settings(photographs: Path, tmp_path: Path, settings: dict[str, int], told: str) -> None:
    with pytest.raises(RequestError, match=told):
        pack(read_manifest(photographs), tmp_path / "out", **settings)


def test_an_input_that_is_not_square(photographs: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="32x24; possible to pack for: square ones"):
        pack(read_manifest(photographs), tmp_path / "out", replace(HOW, height=24))


def test_a_folder_that_cannot_be_made(photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write '.*file/out': Not a directory"):
        pack(read_manifest(photographs), tmp_path / "file" / "out")


def test_a_failed_encoding_is_no_bad_picture(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> bytes:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(shard_tar, "_encode", broken)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        pack(read_manifest(photographs), tmp_path / "out")


def test_the_command(photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    command = ["data", "pack", str(photographs), "--out", str(out), "--size", "40", "--input", "32"]
    assert run(command) == 0
    told = capsys.readouterr().out
    assert "40 photographs (24 train, 8 val, 8 test)" in told
    assert "40 packed in" in told
    assert run(command) == 0
    assert "all were there: nothing to do" in capsys.readouterr().out
    assert run([*command, "--filter", "lanczos"]) == 2
    assert "filter bilinear and not lanczos" in capsys.readouterr().err
    assert run([*command, "--filter", "smooth"]) == 2
    assert "preprocessing filter is 'smooth'; possible: nearest, box" in capsys.readouterr().err
    assert run([*command, "--images", str(tmp_path / "nowhere")]) == 2
    assert "no such folder of photographs" in capsys.readouterr().err


def test_real_photographs(data: Path, tmp_path: Path) -> None:
    folder = data / "oasis_beauty"
    manifest = read_manifest(folder / "labels.csv", folder / "images").only(range(0, 629, 20))
    report = packing.pack(manifest, tmp_path / "out")
    shards = open_shards(tmp_path / "out")
    assert not report.left_out
    assert len(shards) == len(manifest)
    for row in range(len(shards)):
        side = 256 if shards.split[row] == "train" else 224
        assert pixels(shards, row).shape == (side, side, 3)


def test_the_hash_of_a_photographs_file_travels_along(tmp_path: Path, noise_photographs: Path) -> None:
    files = sorted(noise_photographs.glob("*.png"))[:3]
    hashes = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    (tmp_path / "m.csv").write_text("file,mean_rating\n" + "".join(f"{file.name},6\n" for file in files))
    pack(read_manifest(tmp_path / "m.csv", noise_photographs), tmp_path / "out")
    shards = open_shards(tmp_path / "out")
    assert list(shards.source_sha256) == hashes
    assert [hashlib.sha256(shards.read(row)).hexdigest() for row in range(3)] == list(shards.sha256)
