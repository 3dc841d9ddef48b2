"""The page for phones when something is wrong: what it says, and that it shows no number that is not proven."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from chromium import CHROMIUM, FLAGS
from conftest import PHOTOS, skip_without
from edge_nima.card import CARD_FILE, FORMAT_VERSION
from edge_nima.phone.page import Asset, Page
from edge_nima.scorer import BUNDLED, load_model, open_scorer

pytest.importorskip("playwright.sync_api", reason="needs playwright")

from phone_browser import NO_SCORE, Seen, camera_flags, lying, needs, page_served
from phones import with_card

skip_without("uvicorn", "edge-nima[web]")

pytestmark = needs()


@pytest.fixture(scope="module")
def film() -> None:
    """Without a camera."""


def test_threads_that_answer_wrongly_are_caught_by_the_probes_and_one_thread_takes_over(
    open_page: Callable[..., Seen],
) -> None:
    with page_served(change=lying("_threaded")) as url:
        seen = open_page(url=url)
        assert seen.ready() == "wasm"
    seen.page.click("#details summary")
    refused = seen.page.inner_text("#backends .refused")
    assert "golden probes" in refused, refused
    records = seen.photographs([PHOTOS / "cat.jpg"])
    assert records[0]["mean"] == pytest.approx(open_scorer().score(PHOTOS / "cat.jpg").mean, abs=0.005)


def test_when_every_backend_answers_wrongly_no_number_is_shown(open_page: Callable[..., Seen]) -> None:
    with page_served(change=lying("_threaded", "")) as url:
        seen = open_page(url=url)
        why = seen.rejected()
    assert "probes" in why, why
    assert seen.page.is_disabled("#shutter")
    assert seen.text("#mean") == NO_SCORE
    seen.page.click("#tab-photographs")
    assert seen.page.is_disabled("#choose")
    assert seen.page.eval_on_selector_all("#probe-rows tr", "rows => rows.length") == len(load_model().card.probes)


SOFTWARE_GPU = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"]
# A driver that compiles shaders wrongly, as happens on phones: activations saturate a little too early.
LYING_GPU = b"""{
  const make = GPUDevice.prototype.createShaderModule;
  GPUDevice.prototype.createShaderModule = function (given) {
    const saturates = /(= clamp\\(res, .*), vec4<f32>\\((U[.]f0[.]x)\\)\\)/g;
    return make.call(this, { ...given, code: given.code.replaceAll(saturates, '$1, vec4<f32>(0.9*$2))') });
  };
}
"""


def lying_gpu(page: Page) -> dict[str, Asset]:
    """Have WebGPU give wrong answers."""
    (name,) = [name for name in page if name.startswith("assets/worker-") and name.endswith(".js")]
    return {name: Asset(LYING_GPU + page[name].content, page[name].kind)}


@pytest.fixture(scope="module")
def gpu_browser(started: Any) -> Iterator[Any]:
    """With SwiftShader's WebGPU: correct, and slow."""
    flags = [flag for flag in FLAGS if flag != "--disable-gpu"]
    browser = started.chromium.launch(executable_path=str(CHROMIUM), args=[*flags, *SOFTWARE_GPU])
    yield browser
    browser.close()


def has_gpu(seen: Seen) -> bool:
    return bool(seen.page.evaluate("navigator.gpu?.requestAdapter().then(adapter => adapter !== null) ?? false"))


def webgpu_line(seen: Seen) -> str:
    """What the page says of WebGPU, once it has tried it."""
    line = "[...document.querySelectorAll('#backends li')].map(e => e.textContent).find(t => t.startsWith('WebGPU'))"
    return str(seen.until(line, 120))


@pytest.mark.exhaustive
def test_webgpu_that_answers_wrongly_is_caught_by_the_probes_and_never_used(
    open_page: Callable[..., Seen], gpu_browser: Any, served: str
) -> None:
    honest = open_page(browser=gpu_browser)
    honest.ready()
    if not has_gpu(honest):
        pytest.skip("this Chromium has no WebGPU adapter, SwiftShader's neither")
    # It passes the probes; what keeps it out is its speed.
    assert "no faster" in webgpu_line(honest)
    with page_served(change=lying_gpu) as url:
        lying = open_page(browser=gpu_browser, url=url)
        assert lying.ready() in {"threads", "wasm"}
        assert "golden probes fail" in webgpu_line(lying)
        lying.page.select_option("#setting", "webgpu")
        assert "golden probes fail" in lying.told()
        assert lying.ready() in {"threads", "wasm"}


def other_cards() -> dict[str, tuple[bytes, str]]:
    """Model files that are refused, and a part of what is said."""
    content = BUNDLED.read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        network = content[: archive.infolist()[0].header_offset]
        raw = json.loads(archive.read(CARD_FILE))
    raw["format_version"] = FORMAT_VERSION + 1
    newer = io.BytesIO()
    newer.write(network)
    with zipfile.ZipFile(newer, "a") as archive:
        archive.writestr(CARD_FILE, json.dumps(raw))
    return {
        "no-card.tflite": (network.replace(CARD_FILE.encode(), b"x" * len(CARD_FILE)), "no card"),
        "archive-cut-off.tflite": (network, "truncated"),
        "newer.tflite": (newer.getvalue(), f"format {FORMAT_VERSION + 1}"),
        "truncated.tflite": (content[: len(content) // 2], "card"),
        "cut-in-its-card.tflite": (content[:-5000], "damaged"),
        "text.tflite": (b"this is not a model\n" * 9, "not a .tflite"),
        "empty.tflite": (b"", "not a .tflite"),
    }


@pytest.mark.parametrize("name", sorted(other_cards()))
def test_a_model_that_cannot_be_proven_is_not_used_and_says_why(open_page: Callable[..., Seen], name: str) -> None:
    content, told = other_cards()[name]
    seen = open_page()
    seen.ready()
    seen.page.set_input_files("#model-file", {"name": name, "mimeType": "application/octet-stream", "buffer": content})
    why = seen.told()
    assert told in why, why
    assert len(why) < 400
    assert "\n" not in why.strip()
    seen.ready()
    assert seen.page.get_attribute("#model", "data-name") == load_model().card.name


def test_a_model_whose_probes_fail_here_is_not_used(open_page: Callable[..., Seen]) -> None:
    from dataclasses import replace

    card = load_model().card
    probe = replace(card.probes[0], own=(0.0,) * 9 + (1.0,), reference=(0.0,) * 9 + (1.0,))
    content = with_card(replace(card, probes=(probe, *card.probes[1:])))
    seen = open_page()
    seen.ready()
    seen.page.set_input_files("#model-file", {"name": "x.tflite", "mimeType": "", "buffer": content})
    assert "golden probes fail" in seen.told()
    seen.ready()


def test_without_a_camera_it_says_so(open_page: Callable[..., Seen]) -> None:
    seen = open_page()
    seen.ready()
    seen.page.click("#start")
    seen.until("document.querySelector('#live').dataset.view === 'gone'")
    assert seen.page.evaluate("document.querySelector('#live').dataset.problem") == "none"
    assert "camera" in seen.page.inner_text("#why").lower()


def test_a_refused_camera_says_how_to_allow_it(started: Any, served: str) -> None:
    flags = [flag for flag in camera_flags(Path("x")) if "ui" not in flag and "file" not in flag]
    browser = started.chromium.launch(executable_path=str(CHROMIUM), args=[*FLAGS, *flags, "--deny-permission-prompts"])
    seen = Seen(browser, served)
    seen.ready()
    seen.page.click("#start")
    seen.until("document.querySelector('#live').dataset.view === 'gone'")
    assert seen.page.evaluate("document.querySelector('#live').dataset.problem") == "refused"
    assert "allow" in seen.page.inner_text("#why").lower()
    browser.close()


def test_over_plain_http_it_says_what_to_type(started: Any, served: str) -> None:
    rules = "--host-resolver-rules=MAP phone.test 127.0.0.1"  # a name that is not this machine's own: no secure context
    browser = started.chromium.launch(executable_path=str(CHROMIUM), args=[*FLAGS, rules])
    seen = Seen(browser, served.replace("localhost", "phone.test"))
    seen.until("document.documentElement.dataset.state === 'insecure'")
    assert "edge-nima phone" in seen.page.inner_text("#problem-text")
    assert seen.page.is_hidden("#start")
    browser.close()


def test_a_browser_without_wasm_simd_says_what_to_do(open_page: Callable[..., Seen], served: str) -> None:
    def without_simd(context: Any) -> None:
        context.add_init_script("WebAssembly.validate = () => false")

    seen = open_page(route=without_simd)
    assert "SIMD" in seen.rejected()


def photographs(folder: Path) -> dict[str, Path]:
    """What people drop without knowing."""
    frames = [Image.new("P", (64, 48), i) for i in range(3)]
    first = Image.open(PHOTOS / "cat.jpg").resize((64, 48)).quantize(64)
    first.save(folder / "moving.gif", save_all=True, append_images=frames, duration=100, loop=0)
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(4000)
    (folder / "phone.heic").write_bytes(heic)
    (folder / "text.jpg").write_text("not a photograph")
    (folder / "empty.png").write_bytes(b"")
    (folder / "cut.jpg").write_bytes((PHOTOS / "cat.jpg").read_bytes()[:6000])
    (folder / "good.jpg").write_bytes((PHOTOS / "cat.jpg").read_bytes())
    return {path.name: path for path in folder.iterdir()}


def test_pictures_that_cannot_be_scored_are_records_with_their_error(
    open_page: Callable[..., Seen], tmp_path: Path
) -> None:
    files = photographs(tmp_path)
    seen = open_page()
    seen.ready()
    records = {record["name"]: record for record in seen.photographs(list(files.values()))}
    assert set(records) == set(files)
    assert "HEIC is not decoded by this browser: export as JPEG" in records["phone.heic"]["error"]
    assert "empty" in records["empty.png"]["error"]
    for name in ("text.jpg", "cut.jpg"):
        assert records[name]["error"], name
        assert records[name]["mean"] is None, name
    scorer = open_scorer()
    for name in ("good.jpg", "moving.gif"):
        assert records[name]["mean"] == pytest.approx(scorer.score(files[name]).mean, abs=0.005), name


def test_a_photograph_of_a_hundred_megapixels_is_scored(open_page: Callable[..., Seen], tmp_path: Path) -> None:
    side = 10_000
    with Image.open(PHOTOS / "china.jpg") as image:
        image.resize((side, side), Image.Resampling.BILINEAR).save(tmp_path / "huge.jpg", quality=80)
    huge = Image.new("RGB", (12_000, 12_000))
    huge.save(tmp_path / "beyond.png")
    seen = open_page()
    seen.ready()
    records = {record["name"]: record for record in seen.photographs([tmp_path / "huge.jpg", tmp_path / "beyond.png"])}
    own = open_scorer(exact=True).score(tmp_path / "huge.jpg").mean  # browsers decode in full
    assert records["huge.jpg"]["error"] is None, records["huge.jpg"]["error"]
    assert records["huge.jpg"]["mean"] == pytest.approx(own, abs=0.005)
    assert "12000x12000 is 144 megapixels" in records["beyond.png"]["error"]
