"""Models that were made elsewhere, on the page for phones in a real Chromium: LiteRT.js says what Python says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import foreign_models
from conftest import PHOTOS, skip_without
from edge_nima.scorer import open_scorer

pytest.importorskip("playwright.sync_api", reason="needs playwright")

from phone_browser import Seen, needs, page_served

skip_without("uvicorn", "edge-nima[web]")
skip_without("tensorflow", "edge-nima[convert]")

from edge_nima_convert.foreign import with_card  # noqa: E402

pytestmark = needs()

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With cards: filter bilinear, ImageNet's mean and standard deviation."""
    folder = foreign_models.make(tmp_path_factory.mktemp("foreign"))
    for name in ("nhwc", "nchw", "bgr", "int8"):
        blue_first = name == "bgr"
        path = folder / f"{name}.tflite"
        content, _ = with_card(
            path, filter="bilinear", input_range=(0, 1), channel_order="BGR" if blue_first else "RGB",
            mean=MEAN[::-1] if blue_first else MEAN, std=STD[::-1] if blue_first else STD,
        )  # fmt: skip
        path.write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def film() -> None:
    """Without a camera."""


@pytest.mark.parametrize("name", ["nhwc", pytest.param("nchw", marks=pytest.mark.exhaustive), "bgr"])
def test_a_float_model_of_any_layout_scores_as_in_python(
    open_page: Callable[..., Seen], models: Path, tmp_path: Path, name: str
) -> None:
    model = models / f"{name}.tflite"
    photographs = [tmp_path / f"{path.stem}.png" for path in sorted(PHOTOS.glob("*.jpg"))[:3]]
    for path in photographs:
        Image.open(PHOTOS / f"{path.stem}.jpg").reduce(2).save(path)
    with page_served(str(model)) as url:
        seen = open_page(url=url)
        seen.ready()
        records = {record["name"]: record for record in seen.photographs(photographs)}
    scorer = open_scorer(model)
    for path in photographs:
        expected, record = scorer.score(path), records[path.name]
        assert (record["model"], record["preprocessing"]) == (expected.model, expected.preprocessing)
        assert record["distribution"] == pytest.approx(expected.distribution, abs=2e-6)


def test_an_int8_input_is_refused_in_one_line(open_page: Callable[..., Seen], models: Path) -> None:
    seen = open_page()
    seen.ready()
    seen.page.set_input_files("#model-file", str(models / "int8.tflite"))
    why = seen.told()
    assert "int8, which LiteRT.js does not take" in why
    assert "\n" not in why.strip()
