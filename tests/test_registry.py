"""Fetching models: verified, resumed, and never half in place. Against a server on this machine."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_nima import registry
from edge_nima.errors import DownloadError, OutputError, RequestError
from edge_nima.lock import try_lock
from edge_nima.registry import Entry
from web import CONTENT, Server, serving


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def entry(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Entry:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    return Entry("small", "a small one", "small.bin", sha256, len(CONTENT), "CC0-1.0", "", server.url)


def partial(entry: Entry) -> Path:
    return entry.path.with_name("small.bin.partial")


def held(entry: Entry, content: bytes) -> None:
    entry.path.parent.mkdir(parents=True)
    partial(entry).write_bytes(content)


def in_cache(entry: Entry) -> list[str]:
    return sorted(os.listdir(entry.path.parent)) if entry.path.parent.is_dir() else []


@pytest.mark.parametrize("way", ["good", "no length"])
def test_what_is_fetched_is_whole_in_the_cache_and_not_fetched_again(
    server: Server, entry: Entry, tmp_path: Path, way: str
) -> None:
    server.way = way
    seen: list[tuple[int, int]] = []
    path = registry.pull(entry, progress=lambda have, size: seen.append((have, size)))
    assert path == tmp_path / "cache" / "edge-nima" / "small.bin"
    assert path.read_bytes() == CONTENT
    assert in_cache(entry) == ["small.bin"]
    assert [have for have, _ in seen] == sorted({have for have, _ in seen})
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert registry.pull(entry) == path
    assert len(server.ranges) == 1


def test_a_mirror_may_be_named(server: Server, entry: Entry) -> None:
    nowhere = Entry(**{**vars(entry), "url": "http://127.0.0.1:9/"})
    assert registry.pull(nowhere, server.url).read_bytes() == CONTENT


def test_another_file_is_refused_and_removed(server: Server, entry: Entry) -> None:
    server.content = CONTENT[::-1]
    with pytest.raises(DownloadError, match=r"is not small and was removed: SHA-256 \w{16}…, expected \w{16}…"):
        registry.pull(entry)
    assert in_cache(entry) == []
    server.content = CONTENT
    assert registry.pull(entry).read_bytes() == CONTENT


@pytest.mark.parametrize("way", ["truncated", "chunked", "reset"])
def test_a_download_that_breaks_off_is_kept_and_resumed(server: Server, entry: Entry, way: str) -> None:
    server.way = way
    with pytest.raises(DownloadError, match=r"broke off after [\d,]+ of 512,000 bytes.*resume"):
        registry.pull(entry)
    assert in_cache(entry) == ["small.bin.partial"]
    kept = partial(entry).read_bytes()
    assert CONTENT.startswith(kept)
    if way != "reset":  # the network may drop what was on its way
        assert len(kept) == len(CONTENT) // 2
    server.way = "good"
    assert registry.pull(entry).read_bytes() == CONTENT
    assert server.ranges[1] == (f"bytes={len(kept)}-" if kept else None)
    assert in_cache(entry) == ["small.bin"]


def test_a_server_that_ignores_ranges_sends_it_all_and_that_is_fine(server: Server, entry: Entry) -> None:
    held(entry, CONTENT[:1000])
    server.way = "no ranges"
    assert registry.pull(entry).read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000-"]


def test_a_partial_file_that_is_complete_is_not_fetched_again(server: Server, entry: Entry) -> None:
    held(entry, CONTENT)
    assert registry.pull(entry).read_bytes() == CONTENT
    assert server.ranges == []


@pytest.mark.parametrize(
    "wrong", [b"x" * len(CONTENT), b"x" * (len(CONTENT) + 1), b"x" * 1000, CONTENT[:-1] + b"x"], ids=len
)
def test_a_wrong_partial_file_does_not_wedge(entry: Entry, wrong: bytes) -> None:
    held(entry, wrong)
    try:
        registry.pull(entry)
    except DownloadError:
        registry.pull(entry)  # the second time at the latest
    assert entry.path.read_bytes() == CONTENT


def test_a_server_that_has_no_more_than_the_partial_file_starts_again(server: Server, entry: Entry) -> None:
    held(entry, b"x" * 2000)
    server.content = CONTENT[:2000]  # answers 416 to a range from 2000 on
    with pytest.raises(DownloadError, match="broke off after 2,000"):
        registry.pull(entry)
    assert server.ranges == ["bytes=2000-", None]
    assert partial(entry).read_bytes() == CONTENT[:2000]


@pytest.mark.parametrize("way", ["good", "no length"])
def test_more_than_was_expected_is_removed(server: Server, entry: Entry, way: str) -> None:
    server.way = way
    for more in (CONTENT + b"1", CONTENT * 3):
        server.content = more
        with pytest.raises(DownloadError, match="gives more than the 512,000 bytes of small"):
            registry.pull(entry)
        assert in_cache(entry) == []


@pytest.mark.parametrize("way", ["404", "500"])
def test_an_error_of_the_server_is_said_and_loses_nothing(server: Server, entry: Entry, way: str) -> None:
    held(entry, CONTENT[:1000])
    server.way = way
    with pytest.raises(DownloadError, match=f"HTTP {way}.*pass the path of a copy"):
        registry.pull(entry)
    assert partial(entry).read_bytes() == CONTENT[:1000]


def test_offline_says_how_to_do_without_a_network(entry: Entry) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refuses
        with pytest.raises(DownloadError, match="Connection refused") as caught:
            registry.pull(entry, f"http://127.0.0.1:{taken.getsockname()[1]}/")
    assert "pass the path of a copy instead" in str(caught.value)
    assert str(entry.path) in str(caught.value)


def test_a_name_that_does_not_resolve_is_a_download_error(entry: Entry) -> None:
    with pytest.raises(DownloadError, match=r"cannot fetch small from http://nowhere\.invalid"):
        registry.pull(entry, "http://nowhere.invalid/x")


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "model.bin", "ftp://x/y", "http://[x/", "http://x/\xe9", "http://" + "a" * 70]
)
def test_what_is_no_web_address_is_refused(entry: Entry, address: str) -> None:
    with pytest.raises((RequestError, DownloadError)) as caught:
        registry.pull(entry, address)
    assert "path" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_cache_that_cannot_be_written_is_an_output_error(
    entry: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(OutputError, match=r"cannot write '.*small\.bin\.partial'"):
        registry.pull(entry)
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/self")
    with pytest.raises(OutputError, match="cannot write"):
        registry.pull(entry)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system takes root")
def test_a_full_cache_is_an_output_error(entry: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", small], capture_output=True).returncode:
        pytest.skip("mount is not allowed here")
    try:
        monkeypatch.setenv("XDG_CACHE_HOME", str(small))
        with pytest.raises(OutputError, match="No space left on device"):
            registry.pull(entry)
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_damaged_file_in_the_cache_is_fetched_again(entry: Entry) -> None:
    entry.path.parent.mkdir(parents=True)
    entry.path.write_bytes(CONTENT[:-1] + b"x")
    assert not registry.is_present(entry)
    assert registry.pull(entry).read_bytes() == CONTENT


def test_a_bundled_file_that_is_damaged_says_what_to_type(entry: Entry) -> None:
    with pytest.raises(DownloadError, match="pip install --force-reinstall"):
        registry.pull(Entry(**{**vars(entry), "url": None}))


def test_the_cache_follows_xdg_and_ignores_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert registry.cache_folder() == Path("/somewhere/edge-nima")
    for unusable in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", unusable)
        assert registry.cache_folder() == tmp_path / ".cache" / "edge-nima"


def test_without_any_home_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(RequestError, match="XDG_CACHE_HOME"):
        registry.cache_folder()


def test_what_is_bundled_is_what_the_registry_says() -> None:
    bundled = [entry for entry in registry.entries() if entry.url is None]
    assert bundled
    assert all(registry.is_present(entry) for entry in bundled)
    for entry in bundled:
        assert registry.identify(entry.path, registry.sha256_of(entry.path)) is entry
    assert registry.identify(Path(__file__), "0" * 64) is None


def test_every_entry_has_a_licence_an_attribution_a_hash_and_a_name_of_its_own() -> None:
    for entry in registry.entries():
        assert entry.licence
        assert entry.attribution
        assert len(bytes.fromhex(entry.sha256 or "")) == 32 or len(bytes.fromhex(entry.git_blob or "")) == 20
        assert registry.find(entry.name) is entry
        assert (entry.preprocessing is None) == entry.file.endswith(".tflite")  # whose card says it


@pytest.fixture
def blob(server: Server, entry: Entry) -> Entry:
    """What is known by git's id alone, which git itself gives it."""
    told = subprocess.run(["git", "hash-object", "--stdin"], input=CONTENT, capture_output=True, check=True)
    return Entry(**{**vars(entry), "sha256": None, "size": None, "git_blob": told.stdout.decode().strip()})


def test_a_file_known_by_its_git_blob_is_verified_and_resumed(server: Server, blob: Entry, tmp_path: Path) -> None:
    held(blob, CONTENT[:1000])
    assert registry.pull(blob).read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000-"]
    assert registry.is_present(blob)
    assert registry.pull(blob) == blob.path
    assert len(server.ranges) == 1
    blob.path.write_bytes(CONTENT[:-1])
    assert not registry.is_present(blob)


def test_another_file_than_the_git_blob_is_refused_and_removed(server: Server, blob: Entry) -> None:
    server.content = CONTENT[::-1]
    with pytest.raises(DownloadError, match=r"is not small and was removed: git blob \w{16}…, expected \w{16}…"):
        registry.pull(blob)
    assert in_cache(blob) == []
    assert "git blob" in blob.verified_by


def test_a_checkpoint_known_by_its_git_blob_brings_its_preprocessing(
    blob: Entry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(registry, "entries", lambda: (blob,))
    (tmp_path / "copy").write_bytes(CONTENT)
    assert registry.identify(tmp_path / "copy", "0" * 64) is blob


def test_a_misspelt_name_gets_the_nearest_one() -> None:
    with pytest.raises(RequestError, match="did you mean mobilenet-ava-float16"):
        registry.find("mobilenet-ava-flaot16")
    with pytest.raises(RequestError, match=r"possible: .*mobilenet-ava-float16"):
        registry.find("zzz")


def test_two_pulls_at_once_do_not_spoil_each_other(server: Server, entry: Entry) -> None:
    entry.path.parent.mkdir(parents=True, exist_ok=True)
    with open(partial(entry), "ab") as other:
        other.write(CONTENT[:1000])
        other.flush()
        assert try_lock(other)
        with pytest.raises(RequestError, match="another run is fetching"):
            registry.pull(entry)
        assert partial(entry).read_bytes() == CONTENT[:1000]
    assert registry.pull(entry).read_bytes() == CONTENT
