"""axe-core's rules of accessibility, asked of a page in a browser: contrast, names, roles, sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).parents[1] / "examples/web/node_modules/axe-core/axe.min.js"
needs_axe = pytest.mark.skipif(not SOURCE.is_file(), reason="needs axe-core: npm ci in examples/web")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def broken(page: Any) -> list[str]:
    """Rules that the page breaks as it is now, each with its elements."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(SOURCE.read_text(encoding="utf-8"))
    page.wait_for_timeout(300)  # a transition has colours of its own
    found: dict[str, Any] = page.evaluate(
        "(tags) => axe.run(document, { runOnly: tags, resultTypes: ['violations'] })", RULES
    )
    assert len(found["passes"]) > 10, "axe looked at next to nothing"
    return [
        f"{rule['id']}: {node['html'][:120]} {node['any'][0]['message'] if node['any'] else rule['help']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]
