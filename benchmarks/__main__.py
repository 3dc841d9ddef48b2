"""`python -m benchmarks [SUITE...] [--quick]`: run suites; `python -m benchmarks report`: make pages of the results."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path
from time import perf_counter

from benchmarks.harness import RESULTS, Bench, Missing

SUITES = sorted(path.stem for path in (Path(__file__).parent / "suites").glob("[a-z]*.py"))


def main() -> int:
    """Run what is named, else every suite that does not take hours; the exit code."""
    about = {name: (import_module(f"benchmarks.suites.{name}").__doc__ or "").splitlines()[0] for name in SUITES}
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(f"  {name:<12} {line}" for name, line in about.items()),
    )  # fmt: skip
    parser.add_argument("suites", nargs="*", metavar="SUITE", help="'report', or of those below; all but the long ones")
    parser.add_argument("--quick", action="store_true", help="to see that it works: few rounds, not to be quoted")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the results, default %(default)s")
    args = parser.parse_args()
    if args.suites == ["report"]:
        from benchmarks.report import write_report

        try:
            write_report(args.results)
        except Missing as error:
            print(f"== report left out: {error}", file=sys.stderr)
            return 1
        return 0
    unknown = set(args.suites) - set(SUITES)
    if unknown:
        alone = "report, by itself" if "report" in unknown else "report"
        parser.error(f"no suite {', '.join(sorted(unknown))}; possible: {alone}, {', '.join(SUITES)}")
    chosen = args.suites or [name for name in SUITES if not getattr(_module(name), "LONG", False)]
    bench, failed = Bench(quick=args.quick, results=args.results), 0
    for name in chosen:
        bench.suite, started = name, perf_counter()
        print(f"== {name}", file=sys.stderr, flush=True)
        try:
            _module(name).run(bench)
        except Missing as error:
            failed += bool(args.suites)
            print(f"== {name} left out: {error}", file=sys.stderr)
        except KeyboardInterrupt:
            print(f"== interrupted; what was measured is in {args.results}", file=sys.stderr)
            return 130
        else:
            print(f"== {name}: {perf_counter() - started:.0f} s", file=sys.stderr)
    return 1 if failed else 0


def _module(name: str) -> object:
    return import_module(f"benchmarks.suites.{name}")


if __name__ == "__main__":
    sys.exit(main())
