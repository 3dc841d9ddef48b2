"""A verification at rest: a manifest of what is good, and a JSON report of all that is not."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edge_nima.errors import OutputError, RequestError, printable, reason
from edge_nima.records import is_special, write_whole
from edge_nima_train.faults import FILE_FAULTS, ROW_FAULTS
from edge_nima_train.manifest import write_manifest
from edge_nima_train.verify import Verification

FORMAT = "edge-nima verification"
FORMAT_VERSION = 1


def as_document(verification: Verification) -> dict[str, Any]:
    """A verification as what JSON holds. It says nothing of the time or the machine: two runs write the same."""
    v = verification
    count = Counter(fault.kind for fault in v.faults)
    flagged = [(name, told) for name, told in zip(v.manifest.names, v.manifest.columns["flags"], strict=True) if told]
    flags = Counter(flag for _, told in flagged for flag in told.split())
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "labels": {"name": v.manifest.labels.name, "sha256": v.manifest.labels.sha256, "rows": v.rows},
        "images": {"folder": printable(v.manifest.images), "photographs": v.files},
        "good": len(v.manifest),
        "bytes": sum(map(int, v.manifest.columns["bytes"])),
        "faults": {
            kind: {"what": what, "count": count[kind]} for kind, what in (ROW_FAULTS | FILE_FAULTS).items()
        },
        "faulty": [asdict(fault) for fault in v.faults],
        "anomalies": {flag: {"rule": rule, "count": flags[flag]} for flag, rule in v.rules.told().items()},
        "flagged": [{"file": printable(name), "flags": told.split()} for name, told in flagged],
    }  # fmt: skip


def refuse_outputs(manifest: Path, report: Path, labels: Path, overwrite: bool) -> None:
    """Refuse outputs that cannot be, or would be lost, before any work.

    Raises:
        RequestError: saying which.
    """
    if manifest.absolute() == report.absolute():
        raise RequestError(f"--out and --report are both '{printable(report)}'")
    for path in (manifest, report):
        if is_special(path):
            raise RequestError(f"'{printable(path)}' is no file; possible: a file's name")
        if path.exists() and labels.exists() and path.samefile(labels):
            raise RequestError(f"'{printable(path)}' is what is verified; write somewhere else")
        if path.exists() and not overwrite:
            raise RequestError(f"'{printable(path)}' exists: --overwrite replaces it")


def write_verification(verification: Verification, manifest: Path, report: Path) -> None:
    """Write the report, then the manifest; each appears whole, and replaces what is there.

    Raises:
        RequestError: nothing is good; the report is written.
        OutputError: one cannot be written.
    """
    content = json.dumps(as_document(verification), indent=1, allow_nan=False) + "\n"
    try:
        write_whole(report, content.encode())
    except OSError as error:
        raise OutputError(f"cannot write '{printable(report)}': {reason(error)}") from error
    if not len(verification.manifest):
        first = next(fault for fault in verification.faults if fault.kind in FILE_FAULTS)
        raise RequestError(
            f"none of {verification.rows:,} rows has a photograph that can be used: '{first.file}': {first.what}; "
            f"'{printable(report)}' names them all, there is no manifest"
        )
    write_manifest(manifest, verification.manifest)
