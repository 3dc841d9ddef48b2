"""Score with Beam: `BatchScorer` maps the batches of `BatchElements`.

python examples/score_with_beam.py FOLDER OUTPUT
"""

import sys

import apache_beam as beam
import pyarrow
from apache_beam.io import WriteToParquet

from edge_nima import BatchScorer
from edge_nima.photographs import find_photographs

folder, output = sys.argv[1:]
schema = pyarrow.schema(
    [("path", pyarrow.string()), ("mean", pyarrow.float64()), ("std", pyarrow.float64()),
     ("distribution", pyarrow.list_(pyarrow.float64())), ("error", pyarrow.string()),
     ("model_sha256", pyarrow.string())]
)  # fmt: skip
with beam.Pipeline() as pipeline:
    (
        pipeline
        | beam.Create([str(path) for path in find_photographs([folder])])
        | beam.BatchElements(min_batch_size=16, max_batch_size=64)
        | beam.Map(lambda paths: {"path": paths})
        | beam.Map(BatchScorer())
        | beam.FlatMap(lambda batch: pyarrow.table({name: batch[name] for name in schema.names}, schema).to_pylist())
        | WriteToParquet(output, schema, file_name_suffix=".parquet")
    )
