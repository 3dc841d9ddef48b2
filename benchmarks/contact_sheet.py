"""What a contact sheet costs: scoring with `--html` beside without; and the page in Chromium, also of 20,000.

usage: contact_sheet.py PHOTOS [RUNS]       needs playwright and chromium
"""

import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter
from typing import Any

from machine import keep
from PIL import Image
from playwright.sync_api import sync_playwright

from edge_nima import open_scorer
from edge_nima.photographs import find_photographs
from edge_nima.reports.sheet import ContactSheet

MANY = 20_000
FIRST = "[...document.querySelectorAll('.card img')].some((img) => img.complete && img.naturalWidth)"
VISIBLE = """[...document.querySelectorAll('.card')].filter((card) => {
  const { top, bottom } = card.getBoundingClientRect();
  return bottom > 0 && top < innerHeight;
}).map((card) => card.querySelector('img')).filter((img) => !(img && img.complete && img.naturalWidth)).length"""


def run(photographs: str, *more: str) -> float:
    """Seconds of the whole command."""
    started = perf_counter()
    command = [sys.executable, "-m", "edge_nima", "score", photographs, *more]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return perf_counter() - started


def opened(page: Path, chromium: Any) -> dict[str, float]:
    """Time to the first picture, and the longest that a picture in view was missing while scrolling by screens."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    tab = context.new_page()
    started = perf_counter()
    tab.goto(page.as_uri(), wait_until="commit")
    while not tab.evaluate(FIRST):
        pass
    first = perf_counter() - started
    waits = []
    height = tab.evaluate("document.body.scrollHeight")
    for step in range(1, 60):
        tab.evaluate(f"scrollTo(0, {step * height / 60})")
        began = perf_counter()
        while tab.evaluate(VISIBLE) or not tab.evaluate("document.querySelectorAll('.card').length"):
            pass
        waits.append(perf_counter() - began)
    for _ in range(60):
        tab.mouse.wheel(0, 700)
        began = perf_counter()
        while tab.evaluate(VISIBLE):
            pass
        waits.append(perf_counter() - began)
    context.close()
    return {"first_picture_s": round(first, 3), "longest_wait_s": round(max(waits), 3), "steps": len(waits)}


photographs, runs = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
result: dict[str, object] = {"photographs": len(find_photographs([photographs])), "runs": runs}
with tempfile.TemporaryDirectory() as folder, sync_playwright() as started:
    page = Path(folder) / "sheet.html"
    out = ["--format", "jsonl", "-o", f"{folder}/records.jsonl", "--overwrite"]
    times: dict[str, list[float]] = {"without": [], "with": []}
    for _ in range(runs):
        times["without"].append(run(photographs, *out))
        times["with"].append(run(photographs, *out, "--html", str(page)))
    without, with_ = (statistics.median(times[name]) for name in ("without", "with"))
    result |= {"without_s": without, "with_s": with_, "times": with_ / without, "page_mb": page.stat().st_size / 1e6}
    chromium = started.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"])
    result |= opened(page, chromium)
    paths = find_photographs([photographs])
    pictures = {path: Image.open(path).convert("RGB") for path in paths[:200]}
    records = {record.name: record for record in open_scorer().score_batch(pictures)}
    page = Path(folder) / "many.html"
    started_at = perf_counter()
    with ContactSheet(page, MANY) as sheet:
        scored = []
        for number, path in enumerate(islice(cycle(pictures), MANY)):
            name = f"{number % 40}/{number}_{path.name}"
            sheet.look(name, pictures[path])
            scored.append((path, replace(records[str(path)], name=name)))
        looked = perf_counter()
        sheet.write(scored)
    result["many"] = {
        "photographs": MANY, "looks_s": looked - started_at, "write_s": perf_counter() - looked,
        "page_mb": page.stat().st_size / 1e6, **opened(page, chromium),
    }  # fmt: skip
    chromium.close()
keep("contact_sheet", result)
