"""The model that phones are offered: what is refused, and what the page reads of it."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from edge_nima.card import read_card
from edge_nima.errors import CardError, ModelError, RequestError
from edge_nima.phone.offer import load_checked, with_model
from edge_nima.phone.page import INDEX, Asset, load_page
from edge_nima.scorer import ModelFile, load_model
from fakes import TFLITE, fake_model
from phones import BUNDLED as SMALL
from phones import make_page, serving, with_card


@pytest.fixture
def page(tmp_path: Path) -> dict[str, Asset]:
    return load_page(make_page(tmp_path / "page"))


def test_the_bundled_models_pass() -> None:
    file, results = load_checked("mobilenet-ava-float16")
    assert file.card.name == "mobilenet-ava-float16"
    assert len(results) >= 4
    assert [result.problem for result in results] == [None] * len(results)


def test_a_model_whose_probes_fail_is_told_of(tmp_path: Path) -> None:
    card = load_model().card
    own = tuple(reversed(card.probes[0].own))
    (tmp_path / "wrong.tflite").write_bytes(
        with_card(replace(card, probes=(replace(card.probes[0], own=own), *card.probes[1:])))
    )
    _, results = load_checked(str(tmp_path / "wrong.tflite"))
    assert [result.problem is not None for result in results] == [True] + [False] * (len(results) - 1)


def test_a_model_without_a_card_or_without_probes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(TFLITE)
    with pytest.raises(CardError, match=r"'.*model\.tflite' carries no card, and a phone takes it from inside"):
        load_checked(str(path))
    path.write_bytes(with_card(replace(load_model().card, probes=())))
    with pytest.raises(CardError, match="carries no golden probes"):
        load_checked(str(path))


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(b"a photograph")
    with pytest.raises(ModelError, match=r"is not a \.tflite"):
        load_checked(str(path))
    with pytest.raises(ModelError, match="cannot open the model"):
        load_checked(str(tmp_path / "nowhere.tflite"))
    with pytest.raises(ModelError, match="cannot open the model"):
        load_checked(str(tmp_path))


def test_a_chosen_model_is_first_and_the_default_and_its_bytes_are_served(
    page: dict[str, Asset], tmp_path: Path
) -> None:
    pytest.importorskip("httpx", reason="needs httpx")
    pytest.importorskip("uvicorn", reason="needs edge-nima[web]")
    model = load_model("mobilenet-ava-float16")
    with serving(with_model(page, model), tmp_path / "state") as running, running.client() as http:
        index = http.get("/models/index.json")
        assert index.headers["cache-control"] == "no-cache"
        first, *others = index.json()["models"]
        assert first == {
            "file": f"models/mobilenet-ava-float16-{model.sha256[:8]}.tflite", "name": "mobilenet-ava-float16",
            "recipe": "float16", "size": len(model.content), "sha256": model.sha256,
        }  # fmt: skip
        assert index.json()["default"] == "mobilenet-ava-float16"
        assert [entry["name"] for entry in others] == ["small", "other"]
        reply = http.get(f"/{first['file']}")
        assert reply.headers["content-type"] == "application/octet-stream"
        assert sha256(reply.content).hexdigest() == model.sha256
        assert read_card(reply.content) == model.card
        assert http.get("/models/small.tflite").content == SMALL
    assert json.loads(page[INDEX].content)["default"] == "small"  # what was given is as it was


def test_a_model_that_the_page_has_is_not_served_twice(page: dict[str, Asset]) -> None:
    model = ModelFile(SMALL, fake_model().card, sha256(SMALL).hexdigest())
    served = with_model(page, model)
    assert served.keys() == page.keys()
    index = json.loads(served[INDEX].content)
    assert [entry["file"] for entry in index["models"]] == ["models/small.tflite", "models/other.tflite"]
    assert index["default"] == "small"
    other = replace(model, sha256="0" * 64)
    assert [entry["name"] for entry in json.loads(with_model(page, other)[INDEX].content)["models"]] == [
        "other",
        "small",
    ]


def test_names_stay_unique_and_addresses_plain_whatever_a_card_is_called(page: dict[str, Asset]) -> None:
    model = fake_model()
    same = with_model(page, replace(model, card=replace(model.card, name="small")))
    index = json.loads(same[INDEX].content)
    assert [entry["name"] for entry in index["models"]] == ["small", "other"]
    assert index["models"][0]["file"] == "models/small-ffffffff.tflite"
    odd = with_model(page, replace(model, card=replace(model.card, name='../Ünï"?#% 模型')))
    entry = json.loads(odd[INDEX].content)["models"][0]
    assert entry["name"] == '../Ünï"?#% 模型'
    assert entry["file"] == "models/uni-ffffffff.tflite"
    assert odd[entry["file"]].content == model.content


@pytest.mark.parametrize(
    "content", [None, b"", b"{}", b"[]", b'{"models": [{"name": "x"}]}', b'{"models": 7}', b"\xff"]
)
def test_a_damaged_list_of_models_is_told_of(page: dict[str, Asset], content: bytes | None) -> None:
    changed = {name: asset for name, asset in page.items() if name != INDEX}
    if content is not None:
        changed[INDEX] = Asset(content, "application/json")
    with pytest.raises(
        RequestError,
        match=r"the page's models/index\.json cannot be used \(.+\): build the page again with `npm run build`",
    ):
        with_model(changed, fake_model())
