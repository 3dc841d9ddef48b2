"""Convert a checkpoint and print what each recipe costs: `python convert_checkpoint.py CHECKPOINT PHOTOS OTHERS OUT`.

PHOTOS calibrate int8, OTHERS judge by how much each recipe differs from the float model; a manifest of
`edge-nima data split` may stand for both. Needs `pip install 'edge-nima[convert]'`.
"""

import sys

from edge_nima_convert import convert

checkpoint, photographs, others, out = sys.argv[1:]
for made in convert(checkpoint, ["int8-mixed", "float16"], calibration=photographs, evaluate=others, out=out):
    print(f"{made.verdict.describe()}: {made.path}, {made.size / 1e6:.1f} MB, MAE {made.agreement.mae:.4f}")
