"""`score --xmp`: what photo managers read, and what somebody has set before stays."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import PHOTOS
from edge_nima.cli import run
from edge_nima.scorer import Scorer

DARKTABLE = """<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:darktable="http://darktable.sf.net/"
    xmlns:lr="http://ns.adobe.com/lightroom/1.0/"
   xmp:Rating="{rating}"
   darktable:xmp_version="5"
   darktable:auto_presets_applied="1">
   <lr:hierarchicalSubject><rdf:Seq><rdf:li>places|Küste</rdf:li></rdf:Seq></lr:hierarchicalSubject>
   <darktable:history><rdf:Seq><rdf:li darktable:num="0" darktable:params="00ff"/></rdf:Seq></darktable:history>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""
ELEMENTS = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:subject><rdf:Bag><rdf:li>cat</rdf:li></rdf:Bag></dc:subject></rdf:Description>
<rdf:Description rdf:about="" xmlns:xap="http://ns.adobe.com/xap/1.0/"><xap:Rating>{rating}</xap:Rating></rdf:Description>
</rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""

Score = Callable[..., tuple[int, str]]


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(PHOTOS, "p", ignore=shutil.ignore_patterns("*.md"))
    return tmp_path


@pytest.fixture
def score(shelf: Path, capsys: pytest.CaptureFixture[str]) -> Score:
    def scored(*more: str) -> tuple[int, str]:
        code = run(["score", "p", "--xmp", "--format", "csv", *more])
        return code, capsys.readouterr().err

    return scored


def rating(path: str) -> str | None:
    found = re.search(r'(?:xmp|xap):Rating(?:="|>)(-?\d)', Path(path).read_text(encoding="utf-8"))
    return found[1] if found else None


def means() -> dict[str, float]:
    assert run(["score", "p", "-o", "r.jsonl", "--overwrite"]) == 0
    rows = map(json.loads, Path("r.jsonl").read_text().splitlines())
    return {os.path.basename(row["name"]): row["mean"] for row in rows}


@pytest.mark.parametrize(("style", "full"), [("darktable", True), ("immich", True), ("lightroom", False)])
def test_exiftool_and_exiv2_read_rating_and_mean(score: Score, style: str, full: bool) -> None:
    code, err = score("--xmp-style", style, "--xmp-stars", "means:4,5,5.3,5.5")
    assert code == 0
    assert "6 sidecars written; stars by mean: 5 from 5.50, 4 from 5.30, 3 from 5.00, 2 from 4.00" in err
    for name, mean in means().items():
        sidecar = f"p/{name if full else Path(name).stem}.xmp"
        stars = 1 + sum(mean >= edge for edge in (4, 5, 5.3, 5.5))
        assert rating(sidecar) == str(stars)
        if shutil.which("exiftool"):
            told = subprocess.run(
                ["exiftool", "-j", "-XMP:Rating", "-XMP:Mean", sidecar], capture_output=True, text=True, check=True
            )
            read = json.loads(told.stdout)[0]
            assert (read["Rating"], float(read["Mean"])) == (stars, pytest.approx(mean, abs=5e-5))
        if shutil.which("exiv2"):
            told = subprocess.run(["exiv2", "-px", sidecar], capture_output=True, text=True, check=False)
            assert re.search(rf"Xmp\.xmp\.Rating +\w+ +1 +{stars}\n", told.stdout), told.stdout + told.stderr
            assert re.search(rf"mean +\w+ +\d+ +{mean:.4f}\n", told.stdout)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("darktable-cli") is None, reason="needs darktable-cli")
def test_darktable_reads_the_rating(score: Score, tmp_path: Path) -> None:
    assert score("--xmp-stars", "means:2,3,4,9")[0] == 0
    core = ["--core", "--configdir", "dt", "--library", ":memory:"]
    command = ["darktable-cli", "p/cat.jpg", "p/cat.jpg.xmp", "out.jpg", *core]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert Path("out.jpg").exists(), done.stdout + done.stderr
    assert re.search(rb'xmp:Rating="4"', Path("out.jpg").read_bytes())


def test_stars_are_percentiles_of_this_run_or_of_another(score: Score, shelf: Path) -> None:
    code, err = score("--xmp-stars", "20,40,60,80")
    assert code == 0
    assert "stars by percentile of these 6 photographs: 5 from " in err
    found = {name: int(rating(f"p/{name}.xmp") or 0) for name in means()}
    by_mean = sorted(means(), key=means().__getitem__)
    assert [found[name] for name in by_mean] == sorted(found.values())
    assert set(found.values()) == {1, 2, 3, 4, 5}
    code, err = score("--against", "ava")
    assert "stars by percentile of AVA: 5 from 7.07, 4 from 6.58, 3 from 5.99, 2 from 5.39" in err


@pytest.mark.parametrize("other", [DARKTABLE, ELEMENTS], ids=["attributes", "elements"])
def test_a_rating_of_somebody_stays_and_so_does_everything_else(score: Score, other: str) -> None:
    kept = other.format(rating=2)
    Path("p/cat.jpg.xmp").write_text(kept, encoding="utf-8")
    Path("p/china.jpg.xmp").write_text(other.format(rating=0), encoding="utf-8")
    Path("p/coffee.xmp").write_text(other.format(rating=-1), encoding="utf-8")
    code, err = score("--xmp-stars", "means:2,3,4,5")
    assert code == 0
    assert "6 sidecars written, 2 kept the rating that they had" in err
    assert (rating("p/cat.jpg.xmp"), rating("p/china.jpg.xmp"), rating("p/coffee.jpg.xmp")) == ("2", "5", None)
    text = Path("p/cat.jpg.xmp").read_text(encoding="utf-8")
    assert "edge_nima:mean=" in text
    for part in re.findall(r"<rdf:li[^>]*>[^<]*|\w+:params=\"\w+\"|\w+:xmp_version=\"5\"|<\?xpacket[^>]*>", kept):
        assert part.removesuffix("/>") in text
    assert score("--xmp-stars", "means:2,3,4,9")[0] == 0  # one that we wrote is ours to change
    assert rating("p/china.jpg.xmp") == "4"
    before = Path("p/china.jpg.xmp").read_bytes()
    assert score("--xmp-stars", "means:2,3,4,9")[0] == 0
    assert Path("p/china.jpg.xmp").read_bytes() == before
    code, err = score("--xmp-stars", "means:2,3,4,5", "--xmp-replace")
    assert rating("p/cat.jpg.xmp") == "5"
    assert "kept" not in err


def test_a_rating_inside_a_photograph_counts(score: Score) -> None:
    exif = Image.Exif()
    exif[0x4746] = 4
    with Image.open("p/cat.jpg") as cat:
        cat.save("p/cat.jpg", exif=exif)
    data = Path("p/china.jpg").read_bytes()
    packet = b"http://ns.adobe.com/xap/1.0/\0" + DARKTABLE.format(rating=3).encode()
    Path("p/china.jpg").write_bytes(data[:2] + b"\xff\xe1" + (len(packet) + 2).to_bytes(2, "big") + packet + data[2:])
    _, err = score()
    assert "2 kept the rating that they had" in err
    assert rating("p/cat.jpg.xmp") is rating("p/china.jpg.xmp") is None


@pytest.mark.parametrize("prefix", ["xmp", "xap"])
@pytest.mark.parametrize("place", ["first", "last"])
def test_a_rating_inside_counts_by_its_older_prefix_and_at_the_end_of_a_file(
    score: Score, place: str, prefix: str
) -> None:
    size = 100 if place == "first" else 1800  # the XMP of WebP is its last chunk: here after 2 MB
    noise = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    packet = DARKTABLE.format(rating=3).replace("xmp:Rating", f"{prefix}:Rating").replace("ns:xmp", f"ns:{prefix}")
    Image.fromarray(noise).save("p/noise.webp", quality=95, xmp=packet.encode())
    assert (os.path.getsize("p/noise.webp") > 2e6) is (place == "last")
    _, err = score()
    assert "1 kept the rating that they had" in err
    assert rating("p/noise.webp.xmp") is None


def test_a_sidecar_of_ours_does_not_hide_the_rating_in_the_photograph(score: Score) -> None:
    exif = Image.Exif()
    exif[0x4746] = 2
    with Image.open("p/cat.jpg") as cat:
        cat.save("p/cat.jpg", exif=exif)
    for style in ("darktable", "lightroom", "darktable"):
        _, err = score("--xmp-style", style)
        assert "1 kept the rating that they had" in err
    assert rating("p/cat.jpg.xmp") is rating("p/cat.xmp") is None


def test_what_watch_wrote_is_ours_until_somebody_changes_it(score: Score) -> None:
    from edge_nima.watch.xmp import encode, with_rating

    with Image.open("p/cat.jpg") as cat:
        content = encode(
            np.asarray(cat), mean=5.0, std=1.0, distribution=[0.1] * 10, model="m", taken_at=1e9, camera="c"
        )
    for stars, shown in ((with_rating(content, 3), "6 sidecars written;"), (b"", "1 kept the rating")):
        changed = stars or with_rating(content, 3).replace(b'xmp:Rating="3"', b'xmp:Rating="5"')
        Path("p/cat.jpg").write_bytes(changed)
        for sidecar in Path("p").glob("*.xmp"):
            sidecar.unlink()
        assert shown in score()[1]


def test_permissions_and_line_ends_in_attributes_stay(score: Score) -> None:
    path = Path("p/cat.jpg.xmp")
    path.write_text(DARKTABLE.format(rating=2).replace('auto_presets_applied="1"', 'note="a&#10;b&#9;c"'), "utf-8")
    path.chmod(0o640)
    for _ in range(2):
        assert score()[0] == 0
    assert path.stat().st_mode & 0o777 == 0o640
    assert 'darktable:note="a&#10;b&#9;c"' in path.read_text("utf-8")


def test_ctrl_c_writes_no_stars_of_a_part(score: Score, monkeypatch: pytest.MonkeyPatch) -> None:
    original, seen = Scorer.score_or_error, []

    def scoring(self: Scorer, picture: object, **how: object) -> object:
        seen.append(picture)
        if len(seen) > 2:
            raise KeyboardInterrupt
        return original(self, picture, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(Scorer, "score_or_error", scoring)
    code, err = score("--jobs", "1")
    assert code == 130
    assert "no sidecars are written" in err
    assert not list(Path("p").glob("*.xmp"))


def test_what_is_damaged_or_shared_is_left_alone_and_named(score: Score) -> None:
    shutil.copy("p/cat.jpg", "p/china.png")
    wrong = {
        "p/cat.xmp": "<x:xmpmeta",
        "p/coffee.xmp": "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
        "p/flower.xmp": "<html/>",
        "p/astronaut.xmp": "<?xml version='1.0' encoding='utf-16'?><!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
    }
    for path, content in wrong.items():
        Path(path).write_bytes(content.encode("utf-16" if "utf-16" in content else "utf-8"))
    before = {path: Path(path).read_bytes() for path in wrong}
    code, err = score("--xmp-style", "lightroom")
    assert code == 1
    assert {path: Path(path).read_bytes() for path in wrong} == before
    assert "no sidecar for p/cat.jpg: cat.xmp: damaged: " in err
    assert "no sidecar for p/coffee.jpg: coffee.xmp: not XMP: it defines entities; left as it is" in err
    assert "no sidecar for p/china.png: it shares china.xmp with china.jpg" in err
    assert "no sidecar for p/astronaut.jpg: astronaut.xmp: " in err
    assert "2 sidecars written" in err


@pytest.mark.parametrize(
    "more",
    [["--xmp-stars", "5,4,3,2"], ["--xmp-stars", "1,2,3"], ["--xmp-stars", "means:0,2,3,4"], ["--xmp-style", "x"]],
)
def test_stars_that_cannot_be_are_one_line(score: Score, more: list[str]) -> None:
    code, err = score(*more)
    assert (code, err.count("\n")) == (2, 1)
    assert "--xmp-st" in err
    assert not list(Path("p").glob("*.xmp"))
    assert run(["score", "p", *more]) == 2
