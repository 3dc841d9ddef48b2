"""The page's own decoding in a real Chromium: every picture of the vectors becomes the tensor that Python makes."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chromium import CHROMIUM, FLAGS, needs_chromium
from conftest import ROOT
from edge_nima.scorer import load_model
from edge_nima.vectors import export_vectors

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")


WEB = ROOT / "examples" / "web"
pytestmark = [
    pytest.mark.slow,
    needs_chromium,
    pytest.mark.skipif(
        not (WEB / "node_modules").is_dir() or shutil.which("node") is None, reason="needs npm ci in examples/web"
    ),
]

BUNDLE = """
import { build } from 'vite';
const [entry, outDir] = process.argv.slice(-2);
const lib = { entry, name: 'decoding', formats: ['iife'], fileName: () => 'decoding.js' };
await build({ configFile: false, publicDir: false, logLevel: 'error', build: { outDir, emptyOutDir: false, lib } });
"""
INPUTS = """async ([content, hows]) => {
  const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
  const photograph = await decoding.Photograph.open(bytes);
  const encoded = (pixels) => btoa(Array.from(pixels, (level) => String.fromCharCode(level)).join(''));
  const inputs = Object.fromEntries(Object.entries(hows).map(([key, how]) => [key, encoded(photograph.input(how))]));
  photograph.close();
  return inputs;
}"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`src/engine/decode.ts` as the build would have it, by itself."""
    folder = tmp_path_factory.mktemp("bundle")
    command = ["node", "--input-type=module", "-e", BUNDLE, "--", str(WEB / "src/engine/decode.ts"), str(folder)]
    done = subprocess.run(command, cwd=WEB, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "decoding.js"


def test_every_picture_becomes_pythons_tensor_in_chromium(bundle: Path, tmp_path: Path) -> None:
    export_vectors(load_model(), tmp_path / "vectors")
    vectors: dict[str, Any] = json.loads((tmp_path / "vectors" / "vectors.json").read_bytes())
    gaps: dict[str, np.ndarray] = {}
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        page = browser.new_page()
        page.add_script_tag(path=str(bundle))
        for told in vectors["pictures"]:
            content = base64.b64encode((tmp_path / "vectors" / told["file"]).read_bytes()).decode()
            hows = {key: vectors["preprocessings"][key] for key in told["inputs"]}
            for key, text in page.evaluate(INPUTS, [content, hows]).items():
                here = np.frombuffer(base64.b64decode(text), np.uint8).astype(int)
                own = np.frombuffer((tmp_path / "vectors" / told["inputs"][key]["file"]).read_bytes(), np.uint8)
                gaps[f"{told['name']} {key}"] = np.abs(here - own)
        browser.close()
    largest = {name: int(gap.max()) for name, gap in gaps.items() if gap.any()}
    equal = float(np.mean([(gap == 0).mean() for gap in gaps.values()]))
    print(f"{len(gaps)} tensors, {equal:.4%} equal, differing: {largest}")
    assert len(gaps) > 100
    assert max(largest.values(), default=0) <= vectors["limits"]["level"]
    assert min((gap == 0).mean() for gap in gaps.values()) >= vectors["limits"]["equal"]
