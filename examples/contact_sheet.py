"""Draw a contact sheet: each photograph with its mean and the histogram of ratings the model expects.

usage: contact_sheet.py [FOLDER] [OUTPUT.jpg]       (docs/contact_sheet.jpg was made by this, without arguments)
"""

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from edge_nima import ScoreRecord, open_scorer

COLUMNS, CELL, PICTURE, PLOT, GAP = 3, 320, 214, 74, 16
INK, SOFT, BAR, PAPER = "#1d1f24", "#7b808a", "#c9824a", "#ffffff"


def cell(path: Path, record: ScoreRecord) -> Image.Image:
    """One photograph over its score."""
    sheet = Image.new("RGB", (CELL, PICTURE + PLOT), PAPER)
    draw = ImageDraw.Draw(sheet)
    with Image.open(path) as photograph:
        upright = ImageOps.exif_transpose(photograph).convert("RGB")
    sheet.paste(ImageOps.fit(upright, (CELL, PICTURE), Image.Resampling.LANCZOS, centering=(0.5, 0.2)))
    if record.mean is None or record.distribution is None:
        draw.text((0, PICTURE + 10), record.error or "", INK, ImageFont.load_default(12))
        return sheet
    draw.text((0, PICTURE + 8), f"{record.mean:.2f}", INK, ImageFont.load_default(34))
    draw.text((0, PICTURE + 50), f"± {record.std:.2f}  {path.name}", SOFT, ImageFont.load_default(12))
    left, base, width = 150, PICTURE + 46, 17
    tallest = max(record.distribution)
    for i, share in enumerate(record.distribution):
        x = left + i * width
        draw.rectangle((x, base - round(34 * share / tallest), x + width - 4, base), BAR)
        draw.text((x + (width - 4) / 2, base + 4), str(i + 1), SOFT, ImageFont.load_default(10), anchor="ma")
    return sheet


folder = Path(sys.argv[1] if len(sys.argv) > 1 else "examples/photos")
output = Path(sys.argv[2] if len(sys.argv) > 2 else "docs/contact_sheet.jpg")
paths = sorted(folder.glob("*.jpg"))
records = sorted(
    zip(open_scorer().score_batch(paths, jobs=2), paths, strict=True), key=lambda pair: -(pair[0].mean or 0)
)
rows = -(-len(records) // COLUMNS)
size = (COLUMNS * (CELL + GAP) + GAP, rows * (PICTURE + PLOT + GAP) + GAP)
page = Image.new("RGB", size, PAPER)
for place, (record, path) in enumerate(records):
    column, row = place % COLUMNS, place // COLUMNS
    page.paste(cell(path, record), (GAP + column * (CELL + GAP), GAP + row * (PICTURE + PLOT + GAP)))
page.save(output, quality=88, optimize=True)
print(output)
