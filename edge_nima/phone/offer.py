"""The model that a phone is offered: checked by its golden probes here, then first in the page's list."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edge_nima.card import read_card
from edge_nima.check import ProbeResult, check_model
from edge_nima.errors import CardError, RequestError, printable, reason
from edge_nima.phone.page import INDEX, Asset, Page, kind_of
from edge_nima.scorer import ModelFile, load_model
from edge_nima.sources import slug


def load_checked(model: str) -> tuple[ModelFile, list[ProbeResult]]:
    """Read a model and run its golden probes.

    Args:
        model: path of a .tflite file, or a known name.

    Returns:
        The model, and what each probe gave: some may have failed.

    Raises:
        ModelError: no such file, or not a .tflite that scores photographs.
        CardError: it has no card inside, or none with golden probes: the page would refuse it.
        PackageMissing: no TFLite runtime is installed.
    """
    if _lacks_card(Path(model)):
        raise CardError(
            f"'{printable(model)}' carries no card, and a phone takes it from inside the .tflite; convert it again "
            "with edge-nima convert, or put one in with edge-nima card "
            "(a download that was cut short has lost its card: fetch it again)"
        )
    file = load_model(model)
    return file, check_model(file)


def _lacks_card(path: Path) -> bool:
    try:
        content = path.read_bytes()
        return content[4:8] == b"TFL3" and read_card(content) is None
    except (OSError, ValueError):
        return False  # load_model says what is wrong with it


def with_model(page: Page, model: ModelFile) -> dict[str, Asset]:
    """The page with a model offered first, and as the default.

    One that the page has already is not served twice; another of the same name gives way, so that names stay unique.

    Raises:
        RequestError: the page's list of models is damaged.
    """
    served, card = dict(page), model.card
    listed = _listed(page)
    same = next((entry for entry in listed if entry["sha256"] == model.sha256), None)
    if same is None:
        # The digits of its hash make the address another one for every content.
        file = f"models/{slug(card.name, 'model')}-{model.sha256[:8]}.tflite"
        served[file] = Asset(model.content, kind_of(file))
        same = {
            "file": file, "name": card.name, "recipe": card.recipe, "size": len(model.content), "sha256": model.sha256,
        }  # fmt: skip
    others = [entry for entry in listed if entry["name"] != same["name"]]
    index = {"models": [same, *others], "default": same["name"]}
    served[INDEX] = Asset(json.dumps(index, ensure_ascii=False, indent=1).encode(), kind_of(INDEX))
    return served


def _listed(page: Page) -> list[dict[str, Any]]:
    try:
        if INDEX not in page:
            raise ValueError("it is not there")
        entries = json.loads(page[INDEX].content)["models"]
        return [{**entry, "sha256": str(entry["sha256"]), "name": str(entry["name"])} for entry in entries]
    except (KeyError, TypeError, ValueError) as error:
        raise RequestError(
            f"the page's {INDEX} cannot be used ({reason(error)}): build the page again with `npm run build` in "
            "examples/web"
        ) from error
