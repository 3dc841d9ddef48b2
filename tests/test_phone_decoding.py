"""The page's own decoding in a real Chromium: every picture of the vectors becomes the tensor that Python makes."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chromium import CHROMIUM, FLAGS, needs_chromium
from edge_nima.scorer import load_model
from edge_nima.vectors import export_vectors
from phone_browser import WEB, bundled

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")


pytestmark = [
    pytest.mark.slow,
    needs_chromium,
    pytest.mark.skipif(
        not (WEB / "node_modules").is_dir() or shutil.which("node") is None, reason="needs npm ci in examples/web"
    ),
]

INPUTS = """async ([content, hows]) => {
  const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
  const photograph = await bundle.Photograph.open(bytes);
  const input = (how) => photograph.input(bundle.parsePreprocessing(how));
  const encoded = (pixels) => btoa(Array.from(pixels, (level) => String.fromCharCode(level)).join(''));
  const inputs = Object.fromEntries(Object.entries(hows).map(([key, how]) => [key, encoded(input(how))]));
  photograph.close();
  return inputs;
}"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`src/engine/decode.ts` as the build would have it, by itself."""
    return bundled(tmp_path_factory.mktemp("bundle"), "engine/decode.ts", "core/preprocessing.ts")


@pytest.mark.parametrize("by", ["WebAssembly", pytest.param("JavaScript", marks=pytest.mark.exhaustive)])
def test_every_picture_becomes_pythons_tensor_in_chromium(bundle: Path, tmp_path: Path, by: str) -> None:
    export_vectors(load_model(), tmp_path / "vectors")
    vectors: dict[str, Any] = json.loads((tmp_path / "vectors" / "vectors.json").read_bytes())
    gaps: dict[str, np.ndarray] = {}
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        page = browser.new_page()
        if by == "JavaScript":
            page.evaluate("WebAssembly.validate = () => false")  # as a browser without its vectors says
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
    assert sum(" edge-" in name for name in gaps) >= 50
    assert max(largest.values(), default=0) <= vectors["limits"]["level"]
    assert min((gap == 0).mean() for gap in gaps.values()) >= vectors["limits"]["equal"]
