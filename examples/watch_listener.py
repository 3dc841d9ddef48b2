"""Watch cameras from a program of your own: a service with a listener that is told every score and every photograph.

usage: watch_listener.py SOURCE [FOLDER]      with FOLDER the best frame of each minute is kept there
"""

import sys

from edge_nima import EdgeNimaError
from edge_nima.frame import Frame
from edge_nima.service import Service, declare
from edge_nima.watch.events import Listener, Scored, Shot, Status


class Printer(Listener):
    """Prints what it is told. Every method is called on a camera's thread, and has to return at once."""

    def scored(self, scored: Scored, frame: Frame) -> None:
        """Print a score; the frame's pixels are valid during this call only."""
        record = scored.record
        told = f"{record.mean:.2f} ± {record.std:.2f}" if record.error is None else record.error
        print(f"{scored.camera}: {told}, {frame.rgb.shape[1]}x{frame.rgb.shape[0]}, {scored.age_ms:.0f} ms old")

    def kept(self, shot: Shot) -> None:
        """Print where a photograph is."""
        print(f"{shot.camera}: kept {shot.path} ({shot.mean:.2f}, {shot.rating} stars)")

    def changed(self, status: Status) -> None:
        """Print a state."""
        print(f"{status.camera}: {status.state.value}" + (f", {status.problem}" if status.problem else ""))

    def close(self) -> None:
        """Called once, at the end."""
        print("closed")


def main(source: str, folder: str | None = None) -> None:
    """Watch until the source's end or Ctrl-C."""
    given = {"source": source}
    if folder is not None:
        given |= {"out": folder, "keep": 1, "every": "1m"}
    declaration = declare()  # every setting of `edge-nima watch`, by its name in the TOML file
    settings = declaration.check_together(declaration.settings(given))
    Service(settings, listeners=[Printer()]).run()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:3])
    except EdgeNimaError as error:
        sys.exit(f"watch_listener: {error}")
