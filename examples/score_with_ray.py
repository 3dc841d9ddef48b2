"""Score with Ray Data, from Python: `BatchScorer` is a callable class as `map_batches` takes it.

python examples/score_with_ray.py FOLDER OUTPUT

`edge-nima score FOLDER --engine ray --output OUTPUT` does the same, resumes, and takes object stores and lists.
"""

import sys

import ray

from edge_nima import BatchScorer
from edge_nima.photographs import find_photographs

folder, output = sys.argv[1:]
photographs = ray.data.from_items([{"path": str(path)} for path in find_photographs([folder])])
scores = photographs.map_batches(BatchScorer, batch_size=64, num_cpus=1, concurrency=2)
scores.write_parquet(output)
