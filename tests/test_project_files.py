"""The files around the code: the documentation site, workflows and forms, the citation, the messages explained."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import edge_nima
from conftest import ROOT

yaml = pytest.importorskip("yaml", reason="needs edge-nima[docs]")

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def commands(workflow: dict[str, Any]) -> list[str]:
    return [step["run"] for job in workflow["jobs"].values() for step in job.get("steps", []) if "run" in step]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_asks_for_little_and_names_what_exists(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert "steps" in job or (ROOT / job["uses"]).is_file()
        for step in job.get("steps", []):
            assert "uses" not in step or re.search(r"@(v\d+|release/v1)$", step["uses"]), step
            assert (ROOT / step.get("working-directory", ".")).is_dir()
    for command in commands(workflow):
        done = subprocess.run(["bash", "-n"], input=re.sub(r"\$\{\{.*?\}\}", "x", command), text=True, check=False)
        assert done.returncode == 0, command


def test_the_workflow_runs_the_very_commands_of_the_readme() -> None:
    found = [command for command in commands(load(ROOT / ".github/workflows/test.yml")) if "README.md" in command]
    said = []
    for command in found:
        inner = re.search(r'"\$\((.*)\)"$', command.strip())
        assert inner is not None
        said.append(
            subprocess.run(["bash", "-c", inner[1]], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        )
    assert said[0].strip().endswith(".venv/bin/pytest")
    assert said[1].strip().endswith("edge-nima score examples/photos")


def test_forms_dependabot_and_citation_are_well_formed() -> None:
    forms = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml"))
    assert len(forms) == 2
    for form in map(load, forms):
        assert {"name", "description", "body"} <= set(form)
        assert len({part["id"] for part in form["body"]}) == len(form["body"])
    for update in load(ROOT / ".github" / "dependabot.yml")["updates"]:
        assert (ROOT / update["directory"].strip("/")).is_dir()
    citation = load(ROOT / "CITATION.cff")
    assert citation["version"] == edge_nima.__version__
    assert citation["cff-version"] == "1.2.0"
    assert [reference["year"] for reference in citation["references"]] == [2018, 2012]


def test_every_message_that_is_explained_is_one_that_the_code_says() -> None:
    source = "".join(
        path.read_text(encoding="utf-8")
        for package in ("edge_nima", "train", "convert")
        for path in (ROOT / package).rglob("*.py")
    )
    source = re.sub(r'"\s*\n\s*f?"', "", source)
    rows = re.findall(r"^\| (`.*?) \| .* \|$", (ROOT / "docs/troubleshooting.md").read_text("utf-8"), re.MULTILINE)
    messages = [message for row in rows for message in re.findall(r"`([^`]+)`", row)]
    assert len(messages) >= 30
    assert [message for message in messages if message not in source] == []


def test_links_between_documents_lead_somewhere() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{page.name}: {link}"
        for page in pages
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if not (page.parent / link).exists()
    ]
    assert broken == []
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_holds_every_command(tmp_path: Path) -> None:
    pytest.importorskip("mkdocstrings", reason="needs edge-nima[docs]")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "commands" / "index.html").read_text(encoding="utf-8")
    for name in ("score", "pick", "watch", "train fit", "data import", "models pull"):
        assert f"edge-nima {name}" in page
    assert "--xmp-stars" in page
    assert "--mqtt" in page
    api = (tmp_path / "api" / "edge_nima" / "index.html").read_text(encoding="utf-8")
    assert "open_scorer" in api
    assert "Raises" in api
    sources = [path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html")]
    assert not [url for text in sources for url in re.findall(r'(?:src|href)="(https?://[^"]*\.(?:js|css))"', text)]
