"""Score with Spark: `BatchScorer` takes the data frames of `mapInPandas` as they are.

python examples/score_with_spark.py FOLDER OUTPUT
"""

import os
import sys
from collections.abc import Iterator

import pandas as pd
from pyspark.sql import SparkSession

from edge_nima import BatchScorer

folder, output = sys.argv[1:]
os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # of the workers
spark = SparkSession.builder.getOrCreate()
scorer = BatchScorer()  # travels to the workers by its model's path and SHA-256


def score(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    for batch in batches:
        yield pd.DataFrame(scorer({"path": batch["path"], "bytes": batch["content"]}))[columns]


columns = ["path", "mean", "std", "distribution", "error", "model_sha256"]
pictures = spark.read.format("binaryFile").load(f"{folder}/*.jpg").select("path", "content")
scores = pictures.mapInPandas(
    score, "path string, mean double, std double, distribution array<double>, error string, model_sha256 string"
)
scores.write.parquet(output)
