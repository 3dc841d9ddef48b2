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
# Scrolls, then counts milliseconds until cards fill the window and each has its picture.
SCROLL = """(top) => new Promise((done) => {
  const filled = () => {
    const boxes = [...document.querySelectorAll('.card')].map((card) => [card, card.getBoundingClientRect()]);
    const inside = boxes.filter(([, box]) => box.bottom > 0 && box.top < innerHeight);
    const low = Math.max(...inside.map(([, box]) => box.bottom));
    return (low > innerHeight - 20 || scrollY + innerHeight > document.body.scrollHeight - 400) && inside.length &&
      inside.every(([card]) => card.querySelector('img')?.complete && card.querySelector('img').naturalWidth);
  };
  scrollTo(0, top);
  const began = performance.now();
  const look = () => (filled() ? done(performance.now() - began) : requestAnimationFrame(look));
  requestAnimationFrame(look);
})"""


def run(photographs: str, *more: str) -> float:
    """Seconds of the whole command."""
    started = perf_counter()
    command = [sys.executable, "-m", "edge_nima", "score", photographs, *more]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return perf_counter() - started


def opened(page: Path, chromium: Any) -> dict[str, object]:
    """Time to the first picture, and the longest that cards or pictures in view were missing while scrolling."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    tab = context.new_page()
    started = perf_counter()
    tab.goto(page.as_uri(), wait_until="commit")
    while not tab.evaluate(FIRST):
        pass
    first = perf_counter() - started
    tab.wait_for_load_state()
    tab.uncheck("#stacked")  # the 20,000 repeat a few: stacked, only those few would be scrolled
    height = tab.evaluate("document.body.scrollHeight")
    places = [step * height / 60 for step in range(1, 60)] + [700 * step for step in range(60)]
    waits = [tab.evaluate(SCROLL, place) / 1000 for place in places]
    shown = tab.inner_text("#status")
    context.close()
    return {"first_picture_s": round(first, 3), "longest_wait_s": round(max(waits), 3), "shown": shown}


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
