"""One callable for batches of photographs: what Ray Data, Spark and Beam take as it is."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from edge_nima.decode import MAX_MEGAPIXELS
from edge_nima.errors import RequestError
from edge_nima.scorer import ModelFile, open_scorer

FIELDS = ("mean", "std", "error", "model", "preprocessing", "elapsed_ms")
"""Of a record, columns of what a batch becomes."""


class BatchScorer:
    """Scores batches of photographs. Pickles as its `Scorer` does, so each worker opens the model once."""

    def __init__(
        self,
        model: str | os.PathLike[str] | ModelFile | None = None,
        threads: int = 1,
        *,
        card: str | os.PathLike[str] | None = None,
        max_megapixels: float = MAX_MEGAPIXELS,
        exact: bool = False,
    ) -> None:
        """Open a model; arguments and errors are those of `open_scorer`."""
        self.scorer = open_scorer(model, threads, card=card, max_megapixels=max_megapixels, exact=exact)

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """Score a batch.

        Args:
            batch: columns of n values each, a dictionary or a pandas DataFrame, with "bytes" (encoded pictures) or
                "path" (files, URIs, members of tar files, rows of parquet files). With both, "bytes" are scored.

        Returns:
            The columns of the batch but "bytes", and: "mean" and "std" (rating points), "distribution" (ten
            proportions), all None where "error" says why there is no score (else None), "model" (name and eight digits
            of its SHA-256), "model_sha256", "preprocessing", "elapsed_ms". Of n values each, in the order of the batch.

        Raises:
            RequestError: the batch has neither column.
        """
        key = next((key for key in ("bytes", "path") if key in batch), None)
        if key is None:
            raise RequestError(f"a batch has a column 'bytes' or 'path'; this one has {', '.join(map(str, batch))}")
        scored = list(self.scorer.score_batch(list(batch[key])))
        return {
            **{str(name): list(batch[name]) for name in batch if name != "bytes"},
            **{field: [getattr(record, field) for record in scored] for field in FIELDS},
            "distribution": [record.distribution and list(record.distribution) for record in scored],
            "model_sha256": [self.scorer.model.sha256] * len(scored),
        }
