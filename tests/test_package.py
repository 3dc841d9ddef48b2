"""The package as a whole: light to import, whole when installed, and its documentation runs."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import edge_nima
import edge_nima.phone.page
from conftest import PHOTOS, ROOT
from edge_nima import registry
from edge_nima.check import check_model
from edge_nima.scorer import BUNDLED, load_model

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted((ROOT / "docs").glob("*.md"))


def fresh(code: str) -> str:
    """What a fresh interpreter prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


HEAVY = (
    "tensorflow keras ai_edge_litert tflite_runtime av cv2 picamera2 matplotlib pydantic paho prometheus_client "
    "starlette uvicorn h11"
)
STARTS = [
    ("import edge_nima", f"{HEAVY} numpy PIL rich typer asyncio ssl cryptography segno"),
    ("import edge_nima.cli", f"{HEAVY} numpy PIL asyncio ssl cryptography segno urllib.request sqlite3"),
    ("edge_nima.cli.run(['phone', '--help'])", f"{HEAVY} numpy PIL asyncio ssl cryptography segno"),
    ("import edge_nima.doctor.checks", f"{HEAVY} numpy PIL"),
    ("from edge_nima.outputs import web; from edge_nima.phone import certificate, page, qr, server",
     f"{HEAVY} cryptography segno"),
    ("edge_nima.cli.run(['watch', '--help'])", HEAVY),
    ("[edge_nima.sources.open_source(text) for text in ('0', 'picamera2', 'rtsp://x/y', 'http://x/y', '.')]",
     f"{HEAVY} libcamera"),
]  # fmt: skip
"""What is done one after the other, and which modules it must not bring in."""


def test_what_starts_often_loads_nothing_heavy() -> None:
    code = "import contextlib, io, sys\n"
    for does, heavy in STARTS:
        before = "import edge_nima.sources\n" if "open_source" in does else ""
        code += f"{before}with contextlib.redirect_stdout(io.StringIO()):\n    {does}\n"
        code += f"print([name for name in {heavy.split()!r} if name in sys.modules])\n"
    assert fresh(code).splitlines() == ["[]"] * len(STARTS)


def test_scoring_loads_no_desktop_package() -> None:
    code = f"""
import sys, edge_nima
record = edge_nima.open_scorer().score({str(PHOTOS / "cat.jpg")!r})
assert record.error is None
print([name for name in ("tensorflow", "keras", "cv2", "edge_nima_convert", "edge_nima_train") if name in sys.modules])
"""
    assert fresh(code) == "[]"


def test_every_public_name_is_there() -> None:
    for name in edge_nima.__all__:
        assert getattr(edge_nima, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'scorer_of'"):
        _ = edge_nima.scorer_of  # type: ignore[attr-defined]


MODELS = sorted(BUNDLED.parent.glob("*.tflite"))


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_bundled_model_is_the_one_in_the_registry(path: Path) -> None:
    entry = registry.find(path.stem)
    assert entry.path == path
    assert registry.sha256_of(path) == entry.sha256
    assert path.stat().st_size == entry.size
    assert load_model(path.stem).card.name == entry.name


def test_the_registry_lists_the_bundled_models_and_no_other_as_bundled() -> None:
    assert BUNDLED in MODELS
    assert sorted(entry.path for entry in registry.entries() if entry.url is None) == MODELS


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_bundled_model_passes_its_golden_probes(path: Path) -> None:
    results = check_model(load_model(path.stem))
    assert len(results) >= 4
    assert [r.problem for r in results] == [None] * len(results)
    assert all(r.pixels_same and r.input_same for r in results)


def test_the_default_model_has_passed_the_gate() -> None:
    verdict = load_model().card.gate
    assert verdict is not None
    assert (verdict.status, verdict.failures) == ("passed", ())
    assert BUNDLED.stat().st_size <= 3_800_000


def test_the_bundled_models_card_names_its_checkpoint_and_licence() -> None:
    card = load_model().card
    source = registry.find("idealo-mobilenet-aesthetic")
    assert card.source["sha256"] == source.sha256
    assert (card.licence, card.attribution) == ("Apache-2.0", source.attribution)
    assert card.preprocessing.filter == "nearest"
    assert card.agreement is not None
    assert card.agreement["n"] >= 600


def test_example_photographs_are_small_and_have_sources() -> None:
    photographs = sorted(PHOTOS.glob("*.jpg"))
    sources = (PHOTOS / "SOURCES.md").read_text(encoding="utf-8")
    assert 5 <= len(photographs) <= 6
    assert sum(path.stat().st_size for path in photographs) < 400_000
    assert [path.name for path in photographs if path.name not in sources] == []


def tracked() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / os.fsdecode(name) for name in listing.stdout.split(b"\0") if name]


def test_the_bundled_models_are_the_only_large_files() -> None:
    large = [path for path in tracked() if path.is_file() and path.stat().st_size > 600_000]
    assert [path for path in large if path not in MODELS] == []


def test_every_command_line_option_in_the_documentation_exists(capsys: pytest.CaptureFixture[str]) -> None:
    from edge_nima import cli

    options: dict[str, str] = {}
    for page in (
        "README.md", "CONTRIBUTING.md", "examples/pi/README.md", "examples/web/README.md", "examples/android/README.md",
        *(f"docs/{path.name}" for path in PAGES),
    ):  # fmt: skip
        text = (ROOT / page).read_text(encoding="utf-8")
        for command, rest in re.findall(
            r"edge-nima (score|pick|convert|compare|examine|check|show|bench|watch|best|cameras|doctor|phone"
            r"|models \w+)"
            r"((?:[^\n`]|\\\n)*)",
            text,
        ):
            if command not in options:
                cli.run([*command.split(), "--help-all" if command == "watch" else "--help"])
                options[command] = re.sub(r"\s+", " ", capsys.readouterr().out)
            for option in re.findall(r"(?<!\S)--[a-z-]+", rest):
                assert option in options[command], f"{page}: edge-nima {command} has no {option}"
    assert {"score", "pick", "convert", "compare", "check", "show", "watch", "best", "phone"} <= set(options)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.stem)
def test_python_in_the_documentation_runs(page: Path) -> None:
    for snippet in blocks(page, "python"):
        if "edge_nima_convert" in snippet:
            continue  # that is examples/convert_checkpoint.py, or takes minutes
        done = subprocess.run([sys.executable, "-c", snippet], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout


def test_the_snippets_of_the_library_page_are_the_examples() -> None:
    text = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
    for name in ("score_folder.py", "convert_checkpoint.py"):
        example = (ROOT / "examples" / name).read_text(encoding="utf-8")
        assert example[example.index('"""\n', 3) + 4 :].lstrip() in text, name


@pytest.mark.parametrize("page", ["README.md", "docs/photographs.md", "docs/examine.md"])
def test_light_commands_of_the_documentation_run(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from edge_nima import cli

    shutil.copytree(PHOTOS, tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    lines = [line for block in blocks(ROOT / page, "sh") for line in block.splitlines()]
    plain = [line for line in lines if "|" not in line and "MODEL" not in line]
    light = [line for line in plain if re.match(r"edge-nima (score|pick|check|show|examine|models list)\b", line)]
    assert light
    for line in light:
        words = shlex.split(line.split("#")[0].replace("PHOTOS", "photos").replace("NEW", "photos"))
        assert cli.run(words[1:]) == 0, f"{line}: {capsys.readouterr().err}"


def test_the_examples_run() -> None:
    command = [sys.executable, str(ROOT / "examples" / "score_folder.py")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "flower.jpg" in done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from what git tracks."""
    pytest.importorskip("build", reason="needs edge-nima[dev]")
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = out.glob("*.whl")
    return made


def test_the_wheel_holds_the_three_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    folders = {name.split("/")[0] for name in names}
    assert folders == {
        "edge_nima",
        "edge_nima_convert",
        "edge_nima_train",
        f"edge_nima-{edge_nima.__version__}.dist-info",
    }
    for name in (
        "edge_nima/py.typed", "edge_nima/models/registry.toml", "edge_nima/gate.toml",
        "edge_nima/reports/templates/sheet.html",
        "edge_nima/reports/templates/report.html",
        *(f"edge_nima/models/{path.name}" for path in MODELS),
        "edge_nima/cli/__init__.py", "edge_nima/sources/folder.py", "edge_nima_convert/recipes/int8_mixed.py",
        *(f"edge_nima/outputs/web/{name}" for name in ("page.html", "page.css", "page.js", "login.html", "icon.svg")),
    ):  # fmt: skip
        assert name in names
    assert [name for name in names if name.endswith((".pyc", ".jpg", ".md", ".whl"))] == []
    page = [name for name in names if name.startswith("edge_nima/phone/page/")]
    assert bool(page) == (edge_nima.phone.page.FOLDER / "index.html").is_file()
    assert [name for name in page if name.endswith(".tflite")] == []
    licences = {name.rsplit("/", 1)[1] for name in names if "/licenses/" in name}
    assert licences == {"LICENSE", "NOTICE"}


def in_a_fresh_environment(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL", "EDGE_NIMA"))}
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command], cwd=folder, env=clean, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_the_wheel_scores_in_a_fresh_environment_without_tensorflow(wheel: Path, tmp_path: Path) -> None:
    command = (
        f"'{sys.executable}' -m venv v && v/bin/pip install -q '{wheel}' && v/bin/edge-nima check && v/bin/pip list"
    )
    done = in_a_fresh_environment(command, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "6 probes passed" in done.stdout
    assert "tensorflow" not in done.stdout.lower()
    done = in_a_fresh_environment("v/bin/edge-nima convert x.hdf5 --out .", tmp_path)
    assert done.returncode == 2
    assert done.stderr.strip() == "edge-nima: convert needs tensorflow: pip install 'edge-nima[convert]'"


@pytest.mark.slow
def test_readmes_first_command_works_in_a_fresh_clone(tmp_path: Path) -> None:
    tracked()
    found = re.search(r"<!-- command: score -->\n```sh\n(.*?)\n```", README, re.DOTALL)
    assert found is not None
    subprocess.run(["git", "clone", "-q", str(ROOT), str(tmp_path / "clone")], check=True)
    done = in_a_fresh_environment(found[1], tmp_path / "clone")
    assert done.returncode == 0, done.stderr
    assert re.search(r"1 +5\.\d+ .*flower\.jpg", done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="tflite-runtime has no wheel beyond Python 3.11")
def test_where_only_tflite_runtime_exists_the_bundled_model_passes_its_probes(wheel: Path, tmp_path: Path) -> None:
    packages = "tflite-runtime 'numpy<2' pillow rich 'typer<0.29'"
    command = (
        f"'{sys.executable}' -m venv v && v/bin/pip install -q {packages} && v/bin/pip install -q --no-deps '{wheel}'"
    )
    done = in_a_fresh_environment(f"{command} && v/bin/edge-nima check", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "6 probes passed" in done.stdout
    assert "tflite-runtime 2.14.0" in done.stdout
    done = in_a_fresh_environment("v/bin/pip install -q 'numpy>=2' && v/bin/edge-nima check", tmp_path)
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert line.startswith("edge-nima: tflite-runtime does not work with NumPy 2")
    assert "Traceback" not in done.stderr
