"""`python -m benchmarks.peers [NAME...]`: install what peers need, the large ones too; without a name, list them."""

from __future__ import annotations

import sys

from benchmarks.harness import Missing
from benchmarks.peers import environment, environment_folder, is_whole, peers, runs_here


def main(names: list[str]) -> int:
    """The exit code."""
    unknown = set(names) - set(peers())
    if unknown:
        print(f"no peer {', '.join(sorted(unknown))}; possible: {', '.join(peers())}", file=sys.stderr)
        return 2
    for peer in peers().values():
        if not names:
            folder = environment_folder(peer)
            where = "this interpreter" if runs_here(peer) else str(folder) if is_whole(folder) else "not installed"
            print(f"{peer.name}: {peer.about} ({where})")
        elif peer.name in names:
            try:
                print(f"{peer.name}: {environment(peer, asked=True)}")
            except Missing as error:
                print(f"{peer.name}: {error}", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
