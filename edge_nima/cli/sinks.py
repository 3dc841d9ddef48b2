"""Where `edge-nima score` puts its records: a file, stdout line by line, or a ranking shown at the end."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from edge_nima.cli.options import bars
from edge_nima.errors import OutputError, escaped, printable, reason
from edge_nima.records import COLUMNS, FileStamp, RecordFile, ScoreRecord, format_record, is_special, write_whole

if TYPE_CHECKING:
    from edge_nima.percentiles import Percentiles


class Sink(Protocol):
    """Takes records; on leaving the `with` block they are where they belong."""

    complete: bool
    left_at: Path | None

    def write(self, record: ScoreRecord, stamp: FileStamp) -> None: ...  # noqa: D102
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_sink(
    kind: str, output: Path | None, held: list[tuple[ScoreRecord, FileStamp]], order: Sequence[str], top: int | None,
    against: Percentiles | None = None,
) -> Sink:  # fmt: skip
    """The sink for a format ("table", "jsonl", "csv"), an output file or None for stdout, and a number to keep.

    `against` is a column of the table.
    """
    if kind == "table" or top is not None:
        return Ranking(kind, output, top, against)
    return Lines(kind) if output is None else RecordFile(output, kind, held, order)


class Lines:
    """Records to stdout as they come."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self.complete = True
        self.left_at: Path | None = None
        if kind == "csv":
            put_records(",".join(COLUMNS) + "\n")

    def write(self, record: ScoreRecord, stamp: FileStamp) -> None:
        """Print one record."""
        put_records(format_record(record, stamp, self._kind))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class Ranking:
    """Records kept until the end, then put out best first; those without a score come last.

    A run that was cut short leaves an earlier file as it was.
    """

    def __init__(self, kind: str, output: Path | None, top: int | None, against: Percentiles | None = None) -> None:
        self._kind, self._output, self._top, self._against = kind, output, top, against
        self._records: list[tuple[ScoreRecord, FileStamp]] = []
        self.complete = True
        self.left_at = output
        self._special = output is not None and is_special(output)
        if output is not None and not os.access(output if self._special else output.parent, os.W_OK):
            raise OutputError(f"cannot write '{printable(output)}': no permission")

    def write(self, record: ScoreRecord, stamp: FileStamp) -> None:
        """Keep one record."""
        self._records.append((record, stamp))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            return
        if not self.complete and self._output is not None and self._output.is_file():
            self.left_at = None
            return
        scored = [item for item in self._records if item[0].mean is not None]
        failed = [item for item in self._records if item[0].mean is None]
        scored.sort(key=lambda item: (-(item[0].mean or 0.0), item[0].name))
        scored = scored[: self._top]
        if self._kind == "table":
            text = _table([record for record, _ in scored], self._output is None, self._against)
        else:
            head = ",".join(COLUMNS) + "\n" if self._kind == "csv" else ""
            text = head + "".join(format_record(record, stamp, self._kind) for record, stamp in scored + failed)
        if self._output is None:
            (put_out if self._kind == "table" else put_records)(text)
            return
        try:
            content = text.encode("utf-8", "surrogateescape")
            if self._special:
                self._output.write_bytes(content)
            else:
                write_whole(self._output, content)
        except OSError as full:
            raise OutputError(f"cannot write '{printable(self._output)}': {reason(full)}") from full


def _table(records: list[ScoreRecord], to_terminal: bool, against: Percentiles | None) -> str:
    """A ranked table, as wide as the terminal; in a file or a pipe as wide as its longest name."""
    from rich import box
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from edge_nima.reports.terminal import can_show

    if not records:
        return ""
    encoding = (getattr(sys.stdout, "encoding", None) or "ascii") if to_terminal else "utf-8"
    table = Table(box=box.SIMPLE_HEAD if can_show("─", encoding) else box.ASCII, pad_edge=False)
    for heading, wide in (("rank", 4), ("mean", 5), ("std", 4)):
        table.add_column(heading, justify="right", no_wrap=True, min_width=wide)
    table.add_column("1..10", no_wrap=True, min_width=10)
    if against is not None:
        table.add_column(f"% of {printable(against.name)} below", justify="right")
    table.add_column("photograph", overflow="fold")
    for rank, record in enumerate(records, 1):
        shape = bars(record.distribution or (1.0,) * 10, encoding)
        below = [] if against is None else [f"{against.of(record.mean or 0):.0f}"]
        table.add_row(str(rank), f"{record.mean:.3f}", f"{record.std:.2f}", shape, *below, Text(printable(record.name)))
    live = to_terminal and sys.stdout is not None and sys.stdout.isatty()
    buffer = io.StringIO()
    width = None if live else 90 + max(cell_len(printable(record.name)) for record in records)
    console = Console(file=buffer, width=Console().width if live else width, force_terminal=live, safe_box=True)
    console.print(table)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def put_records(lines: str) -> None:
    """Write records to stdout: as a file holds them, but on a terminal nothing in them steers it.

    Raises:
        OutputError: stdout is closed.
    """
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None or sys.stdout.isatty():
        put_out(escaped(lines, keep="\n"))
    else:
        buffer.write(lines.encode("utf-8", "surrogateescape"))
        buffer.flush()


def put_out(text: str) -> None:
    """Write text to stdout.

    Raises:
        OutputError: stdout is closed.
    """
    if sys.stdout is None:
        raise OutputError("stdout is closed; give --output FILE")
    # Names may hold what the terminal's encoding lacks; a table must not end in an error for that.
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()
