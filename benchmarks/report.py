"""Pages out of results: docs/benchmarks.md, its plot, README's tables, and the boards that `edge-nima bench` knows."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT, Missing
from edge_nima.bench import BOARDS

Line = dict[str, Any]
PAGE, PLOT, README = ROOT / "docs" / "benchmarks.md", ROOT / "docs" / "benchmarks.svg", ROOT / "README.md"
NAMES = {
    "edge_nima": "**edge_nima**", "idealo_keras": "idealo's way: Keras",
    "onnx_runtime": "ONNX Runtime", "openvino_runtime": "OpenVINO", "naive_tflite": "the usual sample",
    "litert_samples": "litert-samples' recipe", "pyiqa_nima": "pyiqa's nima (another backbone, random weights)",
}  # fmt: skip

CASE = ("case", "model", "peer", "variant", "size", "workers", "threads", "unit")
"""What tells one measurement of a suite from another."""
RATIOS = ("to_invoke", "rate_to_ours", "time_to_ours", "memory_to_ours")
NEEDED, BESIDE_KERAS = ("agreement", "latency", "recipes", "start", "throughput"), ("start", "throughput")
NOISY = 0.1
"""A ratio that moves by more from run to run is noisy."""


def write_report(results: Path) -> None:
    """Write everything that is made of the results in a folder.

    The last run of each suite counts: the lines of the same date, commit and machine as the last one that is not quick.

    Raises:
        Missing: a suite that the tables need was not run, or a line is damaged. Then nothing is written.
    """
    found = read_results(results)
    absent = [name for name in NEEDED if name not in found]
    absent += [f"{name} with Keras" for name in BESIDE_KERAS if name in found and not _has_keras(found[name])]
    if absent:
        run = f"python -m benchmarks {' '.join(NEEDED)} --results '{results}'"
        raise Missing(f"needs results of {', '.join(absent)}, '{results}' has none: {run}")
    texts = {
        PAGE: page(found),
        README: with_tables(README.read_text(encoding="utf-8"), found),
        BOARDS: "".join(json.dumps(line) + "\n" for line in boards(results)),
    }
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    plot(found)


def read_results(results: Path) -> dict[str, list[Line]]:
    """The last run of each suite.

    A ratio that the run before on the same machine measured too gets a key beside it: `KEY_again`, what it was then.
    """
    found = {}
    for path in sorted(results.glob("*.jsonl")):
        runs: dict[tuple[Any, ...], list[Line]] = {}
        for line in _lines(path):
            if not line.get("quick"):
                runs.setdefault(_run(line), []).append(line)
        if runs:
            last = next(reversed(runs))
            before = [lines for run, lines in runs.items() if run != last and run[2:] == last[2:]]
            found[path.stem] = [_with_ratios_before(line, before[-1] if before else ()) for line in runs[last]]
    return found


def _with_ratios_before(line: Line, before: Iterable[Line]) -> Line:
    same = [other for other in before if all(other.get(key) == line.get(key) for key in CASE)]
    return line | {f"{key}_again": same[-1][key] for key in RATIOS if same and key in line and key in same[-1]}


def boards(results: Path) -> list[Line]:
    """The bare bundled models, the last measurement of each machine, model and thread count."""
    latest: dict[tuple[Any, ...], Line] = {}
    for line in _lines(results / "latency.jsonl"):
        if line["case"] == "invoke" and not line.get("quick"):
            machine = line["machine"]
            key = (machine["board"], *machine.get("instructions", ()), line["model"].partition("@")[0], line["threads"])
            latest[key] = line
    kept = ("model", "threads", "n", "p50", "p90", "p99", "date", "machine", "versions")
    return [{name: line[name] for name in kept} for line in latest.values()]


def with_tables(text: str, found: dict[str, list[Line]]) -> str:
    """A page with what is between `<!-- benchmarks: NAME -->` and `<!-- end -->` made anew."""
    for name, make in TABLES.items():
        start = f"<!-- benchmarks: {name} -->\n"
        before, mark, rest = text.partition(start)
        if mark:
            text = before + start + make(found) + "<!-- end -->" + rest.partition("<!-- end -->")[2]
    return text


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; numbers to the right."""
    rows = [[_text(cell) for cell in row] for row in rows]
    right = [all(not row[i] or row[i].lstrip("*-")[:1].isdigit() or row[i].startswith(".") for row in rows)
             for i in range(len(headings))]  # fmt: skip
    rule = "|".join("---:" if side else "---" for side in right)
    return "\n".join([f"| {' | '.join(headings)} |", f"|{rule}|", *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def variants(found: dict[str, list[Line]]) -> str:
    """What each recipe costs."""
    lines = found["recipes"]
    plain = next(line["p50"] for line in lines if line["recipe"] == "int8")
    first = lines[0]
    return (
        _wrapped(
            f"idealo's weights by `edge-nima convert`, float16 and int8-mixed bundled: {first['photographs']} OASIS "
            f"photographs that no recipe has seen, calibrated on {first['calibration']} of BIQ2021, against the Keras "
            f"model; differences of the mean in rating points. Latency: bare, one thread, median of {first['n']}, to "
            f"plain int8 in the same run ({plain:.1f} ms). {_where(first)}"
        )
        + "\n"
    ) + table(
        ["recipe", "MB", "MAE", "bias", "p99", "rank correlation", "flips at 5", "latency", "gate"],
        [
            [line["recipe"], f"{line['bytes'] / 1e6:.1f}", _small(line["mae"]), _small(line["bias"], "+"),
             _small(line["error_p99"]), f"{line['srcc']:.4f}", f"{line['flips']:.1%}", f"{line['p50'] / plain:.2f}",
             line["gate"]]
            for line in lines
        ],
    )  # fmt: skip


def peers(found: dict[str, list[Line]]) -> str:
    """Speed and agreement, ours and the peers'."""
    agreement = _by_peer(line for line in found["agreement"] if line["case"] == "agreement")
    bare = _by_peer(line for line in found["latency"] if line["case"] == "peer invoke" and line["threads"] == 1)
    rows = []
    for key, rate in _rates(found).items():
        opinion, ms = agreement.get(key), bare.get(key)
        exact = ["reference", "", ""] if key[0] == "idealo_keras" else ["", "", ""]
        rows.append([
            _who(*key), "" if ms is None else f"{ms['p50']:.1f}", f"{rate['p50']:.0f}", f"{rate['peak_mib']:.0f}",
            *(exact if opinion is None
              else [_small(opinion["mae"]), f"{opinion['srcc']:.4f}", f"{opinion['flips']:.1%}"]),
        ])  # fmt: skip
    rows.sort(key=lambda row: -float(row[2]))
    n = found["agreement"][0]["photographs"]
    told = (
        f"{n} OASIS photographs of about 500x400. {_where(found['agreement'][0])} ms: the bare network, one thread; a\n"
        "second: photographs of the whole folder on both cores, start included; MiB: peak memory of that.\n\n"
    )
    return told + table(["", "ms", "a second", "MiB", "MAE", "SRCC", "flips at 5"], rows)


def summary(found: dict[str, list[Line]]) -> str:
    """Against Keras and the peers, in a paragraph."""
    start = {line.get("peer", line["case"]): line for line in found["start"]}
    rates, ours = _rates(found), ("edge_nima", "mobilenet-ava-int8-mixed")
    keras, own = start["idealo_keras"], start["one photograph: edge_nima"]
    fast, slow = (rates[key]["p50"] for key in (ours, ("idealo_keras", "float32")))
    return _wrapped(
        f"Against Keras as idealo's predict uses it, {_where(own)[:-1]}: one photograph {keras['time_to_ours']:.0f} "
        f"times as fast, start included ({own['p50']:.2f} s), in {keras['memory_to_ours']:.0f} times less memory "
        f"({own['peak_mib']:.0f} MiB); a folder {fast / slow:.1f} times ({fast:.0f} a second). Beside ONNX Runtime, "
        "OpenVINO and others: [benchmarks](docs/benchmarks.md). `edge-nima bench` measures your board."
    )


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 125, break_long_words=False, break_on_hyphens=False) + "\n"


def _by_peer(lines: Iterable[Line]) -> dict[tuple[str, str], Line]:
    return {(line["peer"].removesuffix("_batch"), line["variant"]): line for line in lines}


def _rates(found: dict[str, list[Line]]) -> dict[tuple[str, str], Line]:
    """Whole processes on the folder of small photographs, with a worker a core."""
    whole = [line for line in found["throughput"] if line["case"] == "whole process" and line["size"] == "500 px"]
    most = max(line["workers"] for line in whole)
    return _by_peer(line for line in whole if line["workers"] == most)


def start(found: dict[str, list[Line]]) -> str:
    """Cold start and folders."""
    lines = [line for line in found["start"] if line.get("unit")]
    own = next(line for line in lines if line["case"].endswith(": edge_nima"))
    rows = []
    for line in lines:
        about = line["case"].partition(":")[0]
        name = f"{about}, {_who(line['peer'], line['variant'])}" if "peer" in line else line["case"].replace(":", ",")
        times = [f"{line[key]:.1f} x" if key in line else "" for key in ("time_to_ours", "memory_to_ours")]
        rows.append([name, f"{line['p50']:.3f}", times[0], f"{line['peak_mib']:.0f}", times[1]])
    return f"Median of {own['n']} whole processes each, in turn. {_where(own)}\n\n" + table(
        ["", "s", "to ours", "peak MiB", "to ours"], rows
    )


def repeats(found: dict[str, list[Line]]) -> str:
    """How well a second run says the same: the ratios that moved by more than a tenth."""
    pairs = [
        (suite, line, key, line[key] / line[f"{key}_again"] - 1)
        for suite, lines in found.items() for line in lines for key in RATIOS if f"{key}_again" in line
    ]  # fmt: skip
    noisy = [pair for pair in pairs if abs(pair[3]) > NOISY]
    suites = ", ".join(dict.fromkeys(suite for suite, *_ in pairs))
    if not pairs:
        return "No suite has run twice on one machine.\n"
    told = _wrapped(
        f"{len(pairs)} ratios of {suites} were measured in two whole runs on one machine: {len(pairs) - len(noisy)} "
        f"came out within {NOISY:.0%} of the time before. The rest are noisy, and to be read so:"
    )
    rows = [
        [suite, ", ".join(str(line[part]) for part in CASE[:-1] if part in line), key.replace("_", " "),
         line[key], line[f"{key}_again"], f"{change:+.0%}"]
        for suite, line, key, change in noisy
    ]  # fmt: skip
    return told + "\n" + table(["suite", "case", "ratio", "last", "before", "change"], rows)


TABLES: dict[str, Callable[[dict[str, list[Line]]], str]] = {"variants": variants, "peers": peers, "start": start,
    "summary": summary, "repeats": repeats,
}  # fmt: skip
ABOUT = "commit machine versions date suite quick unit n p50 p90 p99 case"


def page(found: dict[str, list[Line]]) -> str:
    """docs/benchmarks.md."""
    parts = [(ROOT / "benchmarks" / "page.md").read_text(encoding="utf-8")]
    text = with_tables(parts[0], found)
    parts = [text.rstrip() + "\n"]
    for suite, of_suite in found.items():
        parts.append(f"\n### {suite}\n")
        places = dict.fromkeys(map(_where, of_suite))
        parts += [_all_of([line for line in of_suite if _where(line) == place]) for place in places]
    return "".join(parts)


def _all_of(lines: list[Line]) -> str:
    """Every measurement of a suite on one machine."""
    more = [key for key in dict.fromkeys(key for line in lines for key in line)
            if key not in ABOUT.split() and all(_plain(line.get(key)) for line in lines)]  # fmt: skip
    rows = [
        [line["case"], *(line.get(key) for key in more), line.get("unit"),
         *(line.get(key) for key in ("n", "p50", "p90", "p99"))]
        for line in lines
    ]  # fmt: skip
    headings = ["case", *more, "unit", "n", "p50", "p90", "p99"]
    filled = [i for i in range(len(headings)) if any(row[i] not in (None, "") for row in rows)]
    return f"\n{_where(lines[0])} {_versions(lines[0])}\n\n" + table(
        [headings[i].replace("_", " ") for i in filled], [[row[i] for i in filled] for row in rows]
    )


def plot(found: dict[str, list[Line]]) -> None:
    """Photographs a second against the error, and the front that none beats in both."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot as plt

    error = _by_peer(line for line in found["agreement"] if line["case"] == "agreement")
    points = {
        key: (rate["p50"], max(error[key]["mae"] if key in error else 0.0, 1e-4))
        for key, rate in _rates(found).items() if key in error or key[0] == "idealo_keras"
    }  # fmt: skip
    front = [
        (x, y) for x, y in points.values()
        if not any(u >= x and v <= y and (u, v) != (x, y) for u, v in points.values())
    ]  # fmt: skip
    plt.rcParams |= {"svg.hashsalt": "edge_nima", "svg.fonttype": "none", "font.size": 9}
    figure, axes = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
    axes.plot(*zip(*sorted(front), strict=True), color="0.75", zorder=1)
    drawn: list[tuple[float, float]] = []
    for (peer, variant), (rate, mae) in sorted(points.items(), key=lambda item: -item[1][0]):
        own = peer == "edge_nima"
        crowded = any(abs(x - rate) < 32 and 0.5 < y / mae < 2 for x, y in drawn)
        axes.scatter(rate, mae, color="tab:green" if own else "tab:blue", zorder=2)
        axes.annotate(_who(peer, variant).replace("*", ""), (rate, mae), (0, -14) if crowded else (5, 4),
                      textcoords="offset points", ha="center" if crowded else "left",
                      weight="bold" if own else "normal")  # fmt: skip
        drawn.append((rate, mae))
    axes.set(yscale="log", xlabel="photographs a second, 500 pixels, both cores, start included",
             ylabel="MAE of the mean to the float model, at least .0001")  # fmt: skip
    axes.margins(x=0.33, y=0.12)
    axes.grid(alpha=0.3)
    figure.savefig(PLOT, metadata={"Date": None})
    plt.close(figure)


def _has_keras(lines: Iterable[Line]) -> bool:
    return any(line.get("peer") == "idealo_keras" for line in lines)


def _lines(path: Path) -> list[Line]:
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            found.append(json.loads(line))
        except ValueError:
            raise Missing(f"line {number} of '{path}' is no JSON: take it out") from None
    return found


def _run(line: Line) -> tuple[Any, ...]:
    if "date" not in line:  # of before the harness: all of them count
        return (None,)
    machine = line["machine"]
    return line["date"], line["commit"], machine["board"], *machine.get("instructions", ())


def _where(line: Line) -> str:
    machine = line["machine"]
    vector = [name for name in machine.get("instructions", ()) if name.startswith(("avx", "asimd", "i8mm"))]
    named = f"{machine.get('board', machine.get('processor'))}, {machine['cores']} cores"
    return f"{named}{f' ({chr(32).join(vector)})' if vector else ''}, {line.get('date', 'before the harness')}."


def _versions(line: Line) -> str:
    found = ", ".join(f"{name} {version}" for name, version in line.get("versions", {}).items())
    return f"{found}; commit {line.get('commit', 'unknown')}." if found else ""


def _who(peer: str, variant: str) -> str:
    return f"{NAMES.get(peer, peer)}, {variant.removeprefix('mobilenet-ava-')}"


def _small(value: float, sign: str = "") -> str:
    return f"{value:{sign}.4f}"


def _plain(value: object) -> bool:
    return value is None or isinstance(value, int | float | str)


def _text(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:.4g}"
    return "" if cell is None else str(cell).replace("|", "\\|")
