"""A comparison as JSON and as one HTML page that needs nothing beside itself."""

from __future__ import annotations

from edge_nima.report.document import as_document, as_json
from edge_nima.report.page import write_report
from edge_nima.report.plots import need_matplotlib

__all__ = ["as_document", "as_json", "need_matplotlib", "write_report"]
