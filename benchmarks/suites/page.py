"""Pages in headless Chromium: the page for phones, its weight, start, frames and memory; the contact sheet."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, islice, product
from pathlib import Path
from time import perf_counter
from typing import Any
from unittest.mock import patch

from PIL import Image

from benchmarks.harness import EDGE_NIMA, ROOT, Bench, Missing, processes_in_turn
from benchmarks.suites.watch import FILM
from edge_nima import open_scorer
from edge_nima.measuring import percentiles, ratio
from edge_nima.phone import app
from edge_nima.photographs import find_photographs
from edge_nima.reports.sheet import ContactSheet

MODELS = ("mobilenet-ava-int8-mixed", "mobilenet-ava-float16")
BACKENDS = ("threads", "wasm")
SIZES = ((640, 480), (1280, 720))


def run(bench: Bench) -> None:
    """Measure and keep."""
    bench.cases(longest_edge, weight, start, frame, memory, contact_sheet)


def longest_edge(bench: Bench) -> None:
    """What the reduction to 640 pixels adds to reading a frame in I420, by WebAssembly and by JavaScript.

    In turns with frames read without it; frames stored upright, and turned by 90 degrees.
    """
    if shutil.which("node") is None or not (ROOT / "examples" / "web" / "node_modules").is_dir():
        raise Missing("needs Node.js and npm ci in examples/web")
    with _browser() as (browser, tests), tempfile.TemporaryDirectory() as folder:
        script = tests.bundled(Path(folder), "core/frames.ts", "core/kernels.ts", "core/kernels_simd.ts")
        for (width, height), rotation in product(((1280, 720), (1920, 1080)), (0, 90)):
            page = browser.new_page()
            page.add_script_tag(path=str(script))
            times = page.evaluate(_READ, [width, height, rotation, bench.rounds(300)])
            page.close()
            for way in ("webassembly", "javascript"):
                added = [ms - without for ms, without in zip(times[way], times["without"], strict=True)]
                bench.keep("longest edge", added, way=way, size=[width, height], rotation=rotation,
                           least=round(min(times[way]) - min(times["without"]), 2),
                           chromium=browser.version)  # fmt: skip


def weight(bench: Bench) -> None:
    """Bytes that the server sends until the model is proven, compressed as they travel."""
    sent: dict[str, int] = {}
    reply = app._sent

    async def counted(asset: Any, method: str, asked: dict[str, str]) -> Any:
        response = await reply(asset, method, asked)
        kind = "models" if asset.content[4:8] == b"TFL3" else asset.kind.split(";")[0]
        sent[kind] = sent.get(kind, 0) + int(response.headers.get("content-length", 0))
        return response

    with _browser() as (browser, tests), patch.object(app, "_sent", counted), tests.page_served() as url:
        # Without the service worker, which fetches the page once more for its cache.
        backend = tests.Seen(browser, url).ready()
        models = sent.pop("models", 0)
        bench.keep("weight", backend=backend, bytes=sum(sent.values()), by_kind=sent, model_bytes=models,
                   chromium=browser.version)  # fmt: skip


def start(bench: Bench) -> None:
    """From navigation to a proven model, and to the camera's first score: in a fresh profile, and all of it cached."""
    found: dict[tuple[str, str], list[float]] = {}

    def note(how: str, seen: Any) -> None:
        seen.ready()
        seen.live()
        for mark in ("ready", "first-score"):
            since = f"performance.getEntriesByName('edge-nima:{mark}')[0].startTime"
            found.setdefault((how, mark), []).append(float(seen.page.evaluate(since)))

    with _film(bench, *SIZES[0]) as film, _served() as url:
        for _ in range(bench.rounds(5, 1)):
            with _browser(film) as (browser, tests):
                seen = tests.Seen(browser, url, service_workers="allow")
                note("cold", seen)
                seen.until("document.documentElement.dataset.offline === 'ready'", 60)
                seen.page.goto("about:blank")
                seen.page.goto(url)
                note("cached", seen)
                version = browser.version
    for (how, mark), times in found.items():
        bench.keep("start", times, cache=how, until=mark, film=Path(FILM).name, chromium=version)


def frame(bench: Bench) -> None:
    """What the worker takes for a frame, beside the model's bare run, by its own clock; frames a second shown."""
    frames = bench.rounds(300)
    for size in SIZES:
        with _film(bench, *size) as film, _served() as url:
            for model, backend in product(MODELS, BACKENDS):
                with _browser(film) as (browser, tests):
                    seen = tests.Seen(browser, url)
                    seen.ready()
                    seen.page.select_option("#model-choice", f"{model}.tflite")
                    seen.until(f"document.querySelector('#model').dataset.name === '{model}'")
                    seen.page.select_option("#setting", backend)
                    seen.until(f"document.documentElement.dataset.backend === '{backend}'", 60)
                    seen.live()
                    seen.page.wait_for_timeout(1000)
                    told = seen.page.evaluate(_WATCH, frames)
                    whole, run = (list(values) for values in zip(*told["seen"], strict=True))
                    bench.keep("frame", whole, size=list(size), model=model, backend=backend, pixels=told["source"],
                               run=percentiles(run), to_run=ratio({"frame": whole, "run": run}, "frame", "run"),
                               fps=round(frames / told["seconds"], 1), film=Path(FILM).name,
                               chromium=browser.version)  # fmt: skip


def memory(bench: Bench) -> None:
    """Resident memory of the renderer process, every 200 frames of a session."""
    frames = bench.rounds(2000, 400)
    with _film(bench, *SIZES[0]) as film, _served() as url, _browser(film) as (browser, tests):
        seen = tests.Seen(browser, url)
        seen.ready()
        seen.live()
        samples = []
        for _ in range(frames // 200):
            seen.page.evaluate(_WATCH, 200)
            samples.append(round(_renderer_mib(browser), 1))
        bench.keep("memory", frames=frames, renderer_mib=samples, film=Path(FILM).name, chromium=browser.version)


def contact_sheet(bench: Bench) -> None:
    """Whole runs of `score` with `--html` beside without; the page opened and scrolled through, also of 20,000."""
    photographs = bench.photographs("golden/images" if bench.quick else "oasis_beauty/images")
    paths, many = find_photographs([str(photographs)]), 2000 if bench.quick else 20_000
    with _browser() as (browser, _), tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "sheet.html"
        without = [EDGE_NIMA, "score", photographs, "-o", f"{folder}/records.jsonl", "--overwrite"]
        times = processes_in_turn({"without": without, "with": [*without, "--html", page]}, bench.rounds(7, 1))
        seconds = {way: found["s"] for way, found in times.items()}
        bench.keep("contact sheet", seconds["with"], "s", photographs=len(paths), **_opened(page, browser),
                   to_without=ratio(seconds, "with", "without"))  # fmt: skip
        pictures = {path: Image.open(path).convert("RGB") for path in paths[:200]}
        records = {record.name: record for record in open_scorer().score_batch(pictures)}
        page, scored, started = Path(folder) / "many.html", [], perf_counter()
        with ContactSheet(page, many) as sheet:
            for number, path in enumerate(islice(cycle(pictures), many)):
                name = f"{number % 40}/{number}_{path.name}"
                sheet.look(name, pictures[path])
                scored.append((path, replace(records[str(path)], name=name)))
            looked = perf_counter()
            sheet.write(scored)
        bench.keep("large contact sheet", [perf_counter() - looked], "s", photographs=many,
                   looks_s=round(looked - started, 3), **_opened(page, browser))  # fmt: skip


@contextlib.contextmanager
def _browser(film: Path | None = None) -> Iterator[tuple[Any, Any]]:
    """A new Chromium, whose camera plays the film; and tests/phone_browser.py, which operates the page."""
    tests = _tests()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        flags = [*tests.chromium.FLAGS, *tests.camera_flags(film)]
        browser = play.chromium.launch(executable_path=str(tests.chromium.CHROMIUM), args=flags)
        yield browser, tests
        browser.close()


def _tests() -> Any:
    """tests/phone_browser.py.

    Raises:
        Missing: what it imports is not installed, or there is no Chromium.
    """
    if str(ROOT / "tests") not in sys.path:
        sys.path.append(str(ROOT / "tests"))
    try:
        import playwright  # noqa: F401

        import phone_browser
    except ImportError as error:
        raise Missing(f"needs edge-nima[dev]: {error}") from None
    if not phone_browser.chromium.CHROMIUM.is_file():
        raise Missing("needs chromium (or CHROMIUM=PATH)")
    return phone_browser


def _served() -> Any:
    """The page for phones on localhost: a context manager that gives its address."""
    tests = _tests()
    if not (tests.FOLDER / "index.html").is_file():
        raise Missing("needs the page: npm ci && npm run build in examples/web")
    return tests.page_served()


@contextlib.contextmanager
def _film(bench: Bench, width: int, height: int) -> Iterator[Path]:
    """Six seconds of the film, uncompressed: Chromium's camera decodes nothing."""
    if shutil.which("ffmpeg") is None:
        raise Missing("needs ffmpeg")
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "camera.y4m"
        command = ["ffmpeg", "-v", "error", "-stream_loop", "-1", "-i", bench.photographs(FILM), "-t", "6", "-r", "30",
                   "-vf", f"scale={width}:{height}", "-pix_fmt", "yuv420p", made]  # fmt: skip
        subprocess.run(command, check=True)
        yield made


def _renderer_mib(browser: Any) -> float:
    """Resident memory of the browser's largest renderer process."""
    processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    pages = [Path(f"/proc/{one['id']}/status").read_text() for one in processes if one["type"] == "renderer"]
    return max(int(status.split("VmRSS:")[1].split()[0]) / 1024 for status in pages)


def _opened(page: Path, browser: Any) -> dict[str, Any]:
    """Time to the first picture, and the longest that cards or pictures in view were missing while scrolling."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    tab = context.new_page()
    started = perf_counter()
    tab.goto(page.as_uri(), wait_until="commit")
    while not tab.evaluate(_FIRST):
        pass
    first = perf_counter() - started
    tab.wait_for_load_state()
    tab.uncheck("#stacked")  # the many repeat a few: stacked, only those few would be scrolled
    height = tab.evaluate("document.body.scrollHeight")
    places = [step * height / 60 for step in range(1, 60)] + [700 * step for step in range(60)]
    waits = [tab.evaluate(_SCROLL, place) / 1000 for place in places]
    context.close()
    return {"page_mb": round(page.stat().st_size / 1e6, 2), "first_picture_s": round(first, 3),
            "longest_wait_s": round(max(waits), 3), "chromium": browser.version}  # fmt: skip


_WATCH = """frames => new Promise(resolve => {
  const box = document.querySelector('#score'), seen = [];
  const started = performance.now();
  new MutationObserver(() => {
    seen.push([Number(box.dataset.elapsed), Number(box.dataset.run)]);
    const seconds = (performance.now() - started) / 1000;
    if (seen.length >= frames) resolve({seen, seconds, source: box.dataset.source});
  }).observe(box, {attributes: true, attributeFilter: ['data-frames']});
})"""

_READ = """([width, height, rotation, frames]) => {
  const how = {width: 224, height: 224, fit: 'stretch', filter: 'nearest', antialias: false, channel_order: 'RGB',
               scale: 1, offset: 0, scaling: 'graph', longest_edge: 640, longest_edge_filter: 'lanczos'};
  const half = width * height / 4, data = new Uint8Array(6 * half).map((_, i) => (i * 2654435761) >>> 24);
  const planes = [0, 4, 5].map((at, i) => ({offset: at * half, rowStride: i ? width / 2 : width, pixelStride: 1}));
  const buffer = {data, layout: 'YUV_420_888', width, height, planes, matrix: 'bt709-limited', rotation, mirror: false};
  const readers = {
    without: new bundle.FrameReader({...how, longest_edge: null}),
    webassembly: new bundle.FrameReader(how, new bundle.SimdKernels()),
    javascript: new bundle.FrameReader(how, new bundle.JavaScriptKernels()),
  };
  const out = new Uint8Array(224 * 224 * 3), times = {without: [], webassembly: [], javascript: []};
  for (let i = -10; i < frames; i++)
    for (const [name, reader] of Object.entries(readers)) {
      const began = performance.now();
      reader.read(buffer, out);
      if (i >= 0) times[name].push(performance.now() - began);
    }
  return times;
}"""

_FIRST = "[...document.querySelectorAll('.card img')].some((img) => img.complete && img.naturalWidth)"
# Scrolls, then counts milliseconds until cards fill the window and each has its picture.
_SCROLL = """(top) => new Promise((done) => {
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
