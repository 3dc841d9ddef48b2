"""Draw docs/sheet.jpg: the contact sheet of examples/photos in Chromium, on a desktop and on a phone, light and dark.

usage: python docs/pictures.py       needs playwright and chromium
"""

import io
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
SHOTS = [
    (1280, 800, "light", False, (0, 0)),
    (360, 740, "dark", False, (1310, 30)),
    (1280, 800, "dark", True, (0, 830)),
    (360, 740, "light", True, (1310, 860)),
]  # width, height, theme, large view, place

with tempfile.TemporaryDirectory() as folder, sync_playwright() as started:
    page = Path(folder) / "sheet.html"
    command = [sys.executable, "-m", "edge_nima", "score", "examples/photos", "--html", str(page)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    canvas = Image.new("RGB", (1670, 1630), "#8a8d93")
    browser = started.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"])
    for width, height, theme, large, place in SHOTS:
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme)
        tab = context.new_page()
        tab.goto(page.as_uri())
        if large:
            tab.locator(".card").first.click()
        tab.wait_for_timeout(600)
        canvas.paste(Image.open(io.BytesIO(tab.screenshot())), place)
        context.close()
    browser.close()
    canvas.resize((1252, 1222), Image.Resampling.LANCZOS).save(ROOT / "docs" / "sheet.jpg", quality=82, optimize=True)
