"""What the page for phones costs in headless Chromium: its weight, its start, a frame, its memory.

usage: phone_page.py FILM [--frames 300] [--starts 5] [--memory-frames 2000]
       phone_page.py --only longest_edge [--frames 300]

FILM is any film FFmpeg reads; Chromium plays it as a camera, at 640x480 and at 1280x720. "weight" counts the bytes that
the server sends, compressed as they travel, models left out. "start" runs from navigation to a proven model ("ready")
and to the first score of the camera, in a fresh profile ("cold") and when everything is in the service worker's cache.
"frame" is what the worker takes for one frame beside the model's bare run, from its own clock, and how many frames a
second the page shows. "longest_edge" is what the reduction to 640 pixels adds to the reading of a frame, by WebAssembly
and by JavaScript, in turns with frames read without it; frames stored upright, and turned by 90 degrees. "memory" is
what is resident of the renderer process, every 200 frames.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from machine import keep, percentiles
from playwright.sync_api import sync_playwright

from chromium import CHROMIUM, FLAGS
from edge_nima.phone import app
from phone_browser import Seen, bundled, camera_flags, page_served

MODELS = ("mobilenet-ava-int8-mixed", "mobilenet-ava-float16")
BACKENDS = ("threads", "wasm")
SIZES = ((640, 480), (1280, 720))


def camera_film(film: Path, folder: Path, width: int, height: int) -> Path:
    """Six seconds of the film, uncompressed: Chromium's camera decodes nothing."""
    made = folder / f"{width}x{height}.y4m"
    command = ["ffmpeg", "-v", "error", "-y", "-stream_loop", "-1", "-i", str(film), "-t", "6", "-r", "30",
               "-vf", f"scale={width}:{height}", "-pix_fmt", "yuv420p", str(made)]  # fmt: skip
    subprocess.run(command, check=True)
    return made


def weight(play: Any) -> dict[str, Any]:
    """Bytes sent until the model is proven."""
    sent: dict[str, int] = {}
    reply = app._sent

    async def counted(asset: Any, method: str, asked: dict[str, str]) -> Any:
        response = await reply(asset, method, asked)
        kind = "models" if asset.content[4:8] == b"TFL3" else asset.kind.split(";")[0]
        sent[kind] = sent.get(kind, 0) + int(response.headers.get("content-length", 0))
        return response

    app._sent = counted
    try:
        with page_served() as url:
            browser = play.chromium.launch(executable_path=str(CHROMIUM), args=[*FLAGS, *camera_flags(None)])
            # Without the service worker, which fetches the page once more for its cache.
            backend = Seen(browser, url).ready()
            browser.close()
    finally:
        app._sent = reply
    models = sent.pop("models", 0)
    return {"what": "weight", "backend": backend, "bytes": sum(sent.values()), "by_kind": sent, "model_bytes": models}


def first_score(seen: Seen) -> dict[str, float]:
    """Milliseconds from navigation to a proven model, and to the first score."""
    seen.ready()
    seen.live()
    mark = "performance.getEntriesByName('edge-nima:{}')[0].startTime"
    return {name: float(seen.page.evaluate(mark.format(name))) for name in ("ready", "first-score")}


def start(play: Any, film: Path, starts: int) -> dict[str, Any]:
    """Cold and cached, in turns."""
    found: dict[str, list[dict[str, float]]] = {"cold": [], "cached": []}
    with page_served() as url:
        for _ in range(starts):
            browser = play.chromium.launch(executable_path=str(CHROMIUM), args=[*FLAGS, *camera_flags(film)])
            seen = Seen(browser, url, service_workers="allow")
            found["cold"].append(first_score(seen))
            seen.until("document.documentElement.dataset.offline === 'ready'", 60)
            seen.page.goto("about:blank")
            seen.page.goto(url)
            found["cached"].append(first_score(seen))
            browser.close()
    medians = {
        f"{how}_{name.replace('-', '_')}_ms": round(statistics.median(one[name] for one in ones))
        for how, ones in found.items()
        for name in ("ready", "first-score")
    }
    return {"what": "start", "n": starts, **medians}


_WATCH = """frames => new Promise(resolve => {
  const box = document.querySelector('#score'), seen = [];
  const started = performance.now();
  new MutationObserver(() => {
    seen.push([Number(box.dataset.elapsed), Number(box.dataset.run)]);
    const seconds = (performance.now() - started) / 1000;
    if (seen.length >= frames) resolve({seen, seconds, source: box.dataset.source});
  }).observe(box, {attributes: true, attributeFilter: ['data-frames']});
})"""


def frame(play: Any, film: Path, size: tuple[int, int], model: str, backend: str, frames: int) -> dict[str, Any]:
    """One model on one backend."""
    with page_served() as url:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=[*FLAGS, *camera_flags(film)])
        seen = Seen(browser, url)
        seen.ready()
        seen.page.select_option("#model-choice", f"{model}.tflite")
        seen.until(f"document.querySelector('#model').dataset.name === '{model}'")
        seen.page.select_option("#setting", backend)
        seen.until(f"document.documentElement.dataset.backend === '{backend}'", 60)
        seen.live()
        seen.page.wait_for_timeout(1000)
        told = seen.page.evaluate(_WATCH, frames)
        browser.close()
    whole, run = zip(*told["seen"], strict=True)
    overheads = [(a - b) / b for a, b in told["seen"]]
    return {
        "what": "frame", "size": list(size), "model": model, "backend": backend, "pixels": told["source"],
        "frame_ms": percentiles(whole), "run_ms": percentiles(run),
        "overhead": round(statistics.median(overheads), 4), "fps": round(frames / told["seconds"], 1),
    }  # fmt: skip


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


def longest_edge(play: Any, frames: int) -> list[dict[str, Any]]:
    """Milliseconds that the step adds to a frame in I420."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        script = bundled(Path(folder), "core/frames.ts", "core/kernels.ts", "core/kernels_simd.ts")
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        for (width, height), rotation in product(((1280, 720), (1920, 1080)), (0, 90)):
            page = browser.new_page()
            page.add_script_tag(path=str(script))
            times = page.evaluate(_READ, [width, height, rotation, frames])
            added = {
                way: {
                    "least": round(min(times[way]) - min(times["without"]), 2),
                    **{key: round(value, 2) for key, value in percentiles(
                        [ms - without for ms, without in zip(times[way], times["without"], strict=True)]
                    ).items()},
                }
                for way in ("webassembly", "javascript")
            }  # fmt: skip
            size = {"size": [width, height], "rotation": rotation}
            found.append({"what": "longest_edge", **size, "added_ms": added, "load": round(os.getloadavg()[0], 1)})
            page.close()
        browser.close()
    return found


def _renderer_mib(marker: str) -> float:
    """The largest resident renderer whose command line holds the marker."""
    sizes = [0.0]
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            if b"--type=renderer" in command and marker.encode() in command:
                status = (folder / "status").read_text()
                sizes.append(int(status.split("VmRSS:")[1].split()[0]) / 1024)
        except (OSError, IndexError):
            continue  # it ended meanwhile
    return max(sizes)


def memory(play: Any, film: Path, frames: int) -> dict[str, Any]:
    """Every 200 frames of one session."""
    with page_served() as url, tempfile.TemporaryDirectory() as profile:
        context = play.chromium.launch_persistent_context(
            profile, executable_path=str(CHROMIUM), args=[*FLAGS, *camera_flags(film)], service_workers="block"
        )
        page = context.new_page()
        page.goto(url)
        page.wait_for_selector("html[data-state=ready]", timeout=60_000)
        page.click("#start")
        page.wait_for_selector("#score[data-mean]", timeout=60_000)
        samples = []
        for _ in range(frames // 200):
            page.evaluate(_WATCH, 200)
            samples.append(round(_renderer_mib(profile), 1))
        context.close()
    return {"what": "memory", "frames": frames, "renderer_mib": samples}


def main() -> None:
    """Measure all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("film", type=Path, nargs="?")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--memory-frames", type=int, default=2000)
    parser.add_argument("--only", choices=["longest_edge"])
    asked = parser.parse_args()
    if asked.film is None and asked.only != "longest_edge":
        parser.error("which FILM is the camera's?")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        version = play.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS).version
        for found in longest_edge(play, asked.frames):
            keep("phone_page", {**found, "chromium": version})
        if asked.only == "longest_edge":
            return
        films = {size: camera_film(asked.film, Path(folder), *size) for size in SIZES}
        common = {"chromium": version, "film": asked.film.name}
        keep("phone_page", {**weight(play), **common})
        keep("phone_page", {**start(play, films[SIZES[0]], asked.starts), **common})
        for model in MODELS:
            for backend in BACKENDS:
                for size in SIZES:
                    keep("phone_page", {**frame(play, films[size], size, model, backend, asked.frames), **common})
        keep("phone_page", {**memory(play, films[SIZES[0]], asked.memory_frames), **common})


if __name__ == "__main__":
    main()
