"""Score a folder of photographs and print the best first."""

import sys
from pathlib import Path

from edge_nima import open_scorer

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "examples/photos")
records = list(open_scorer().score_batch(sorted(folder.glob("*.jpg")), jobs=2))
for record in sorted(records, key=lambda r: -(r.mean or 0)):
    print(f"{record.mean:.2f}  {record.name}" if record.error is None else f"----  {record.name}: {record.error}")
