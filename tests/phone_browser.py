"""The page for phones in a real Chromium: its server, its camera, what it said, what it saved."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import chromium
from chromium import PHONE, needs_chromium
from conftest import PHOTOS, ROOT
from edge_nima.outputs.web.listening import listen
from edge_nima.phone.offer import with_model
from edge_nima.phone.page import FOLDER, Asset, Page, load_page
from edge_nima.phone.server import PhoneServer
from edge_nima.scorer import load_model

WEB = ROOT / "examples" / "web"
NO_SCORE = "\N{EN DASH}"
_BUNDLE = """
import { build, loadConfigFromFile } from 'vite';
const [entry, outDir] = process.argv.slice(-2);
const { config } = await loadConfigFromFile({ command: 'build', mode: 'production' }, 'vite.config.ts');
const lib = { entry, name: 'bundle', formats: ['iife'], fileName: () => 'bundle.js' };
const { target } = config.build;
const plugins = config.worker.plugins();
const common = { configFile: false, publicDir: false, logLevel: 'error' };
await build({ ...common, plugins, build: { outDir, emptyOutDir: false, lib, target } });
"""


def bundled(folder: Path, *modules: str) -> Path:
    """Modules of examples/web/src as one script, compiled as in the page; it gives `bundle` all that they export."""
    entry = folder / "entry.ts"
    entry.write_text("".join(f"export * from {json.dumps(str(WEB / 'src' / module))};\n" for module in modules))
    command = ["node", "--input-type=module", "-e", _BUNDLE, "--", str(entry), str(folder)]
    done = subprocess.run(command, cwd=WEB, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "bundle.js"


def needs() -> list[pytest.MarkDecorator]:
    """Marks of a test module: slow, and skipped with a reason where something is absent."""
    return [
        pytest.mark.slow,
        needs_chromium,
        pytest.mark.skipif(
            not (FOLDER / "index.html").is_file(), reason="needs the page: npm ci && npm run build in examples/web"
        ),
    ]


def camera_flags(film: Path | None) -> list[str]:
    """What gives Chromium a camera that plays a film; None for a browser without a camera."""
    if film is None:
        return ["--use-fake-ui-for-media-stream"]
    return [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    ]


def slideshow(to: Path, width: int, height: int) -> Path:
    """The example photographs as an uncompressed film of 25 frames a second, each a second long."""
    command = [
        "ffmpeg", "-v", "error", "-y", "-framerate", "1", "-pattern_type", "glob", "-i", f"{PHOTOS}/*.jpg",
        "-vf", f"scale={width}:{height}:force_original_aspect_ratio=increase,crop={width}:{height},fps=25",
        "-pix_fmt", "yuv420p", str(to),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    return to


@contextlib.contextmanager
def page_served(model: str | None = None, change: Callable[[Page], dict[str, Asset]] | None = None) -> Iterator[str]:
    """The built page on http://localhost, which browsers trust with a camera; `change` gives files other contents."""
    page = load_page()
    if model is not None:
        page = with_model(page, load_model(model))
    if change is not None:
        page.update(change(page))
    listening = listen("127.0.0.1", 0)
    port = listening.getsockname()[1]
    server = PhoneServer(page, listening)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield f"http://localhost:{port}/"
    finally:
        server.stop()
        thread.join(60)
        assert not thread.is_alive(), "the server did not stop"


# ln 2, by which XNNPACK's exp reduces its argument. With another number in its place the file still compiles and runs,
# and every softmax is wrong by a little.
LN_2 = [np.float32(sign * float.fromhex("0x1.62E400p-1")) for sign in (1, -1)]


def lying(*variants: str) -> Callable[[Page], dict[str, Asset]]:
    """Have these variants of LiteRT's WebAssembly give wrong answers."""

    def change(page: Page) -> dict[str, Asset]:
        changed = {}
        for name, asset in page.items():
            if any(name.endswith(f"/litert_wasm{variant}_internal.wasm") for variant in variants):
                content = asset.content
                for constant in LN_2:
                    content = content.replace(constant.tobytes(), np.float32(constant * 0.9).tobytes())
                assert content != asset.content, "the constant is no longer there: find another one"
                changed[name] = Asset(content, asset.kind)
        assert len(changed) == len(variants)
        return changed

    return change


class Seen(chromium.Seen):
    """The page, open as on a phone."""

    def __init__(self, browser: Any, url: str, **how: Any) -> None:
        super().__init__(
            browser, url, **{"viewport": PHONE, "service_workers": "block", "accept_downloads": True, **how}
        )

    @property
    def elsewhere(self) -> list[str]:
        """Addresses of other hosts that were asked for anything."""
        return [url for url in self.asked if not url.startswith((self.url, f"blob:{self.url}", "data:"))]

    def ready(self, seconds: float = 120) -> str:
        """Wait for a model that has passed its probes; the backend that runs it."""
        self.until("document.documentElement.dataset.state === 'ready'", seconds)
        self.page.evaluate("document.querySelector('#model').open = true")
        return str(self.page.evaluate("document.documentElement.dataset.backend"))

    def rejected(self, seconds: float = 120) -> str:
        """Wait until no model is usable; why."""
        self.until("document.documentElement.dataset.state === 'rejected'", seconds)
        return str(self.page.inner_text("#problem-text"))

    def told(self, seconds: float = 120) -> str:
        """Wait for the banner; what it says."""
        self.until("!document.querySelector('#problem').hidden", seconds)
        return self.text("#problem-text")

    def live(self, seconds: float = 120) -> None:
        """Open the camera, unless it is open again by itself, and wait for a score."""
        if self.page.is_visible("#start"):
            self.page.click("#start")
        self.until(
            "document.querySelector('#live').dataset.view === 'live' && document.querySelector('#score').dataset.mean",
            seconds,
        )

    def saved(self, selector: str) -> bytes:
        """Click, and the bytes of the file that is downloaded."""
        with self.page.expect_download(timeout=60_000) as download:
            self.page.click(selector)
        return Path(download.value.path()).read_bytes()

    def photographs(self, files: list[Any], seconds: float = 120) -> list[dict[str, Any]]:
        """Choose photographs, wait for all, and the records that the page exports."""
        self.page.click("#tab-photographs")
        self.page.set_input_files("#files", files)
        self.until("!document.querySelector('#results').hidden && document.querySelector('#working').hidden", seconds)
        return [json.loads(line) for line in self.saved("#export-jsonl").decode().splitlines()]


def kill_camera_process(browser: Any) -> None:
    """What an unplugged camera, or one whose driver has crashed, looks like to a page."""
    control = browser.new_browser_cdp_session()
    mine = [process["id"] for process in control.send("SystemInfo.getProcessInfo")["processInfo"]]
    (camera,) = [pid for pid in mine if b"video_capture" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(camera, signal.SIGKILL)


@contextlib.contextmanager
def pages(browser: Any, served: str) -> Iterator[Callable[..., Seen]]:
    """What opens a page, of `served` unless another `url` or `browser` is given; all are closed at the end."""
    opened: list[Seen] = []

    def opener(url: str | None = None, **how: Any) -> Seen:
        opened.append(Seen(how.pop("browser", browser), url or served, **how))
        return opened[-1]

    yield opener
    for seen in opened:
        seen.context.close()


@dataclass(frozen=True)
class Proof:
    """What the page's proof holds: frames without loss, and what was said of them."""

    frames: dict[str, np.ndarray]
    records: list[dict[str, Any]]


def proof_of(content: bytes) -> Proof:
    """Read the zip that the page saves."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        (records,) = [name for name in names if name.endswith(".jsonl")]
        lines = archive.read(records).decode().splitlines()
        frames = {
            name: np.asarray(Image.open(io.BytesIO(archive.read(name)))) for name in names if name.endswith(".png")
        }
    return Proof(frames, [json.loads(line) for line in lines])
