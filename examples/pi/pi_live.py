"""Score a camera live: one line that keeps changing, until Ctrl-C or the end of the video.

usage: pi_live.py [SOURCE]      picamera2 (the default), 0, /dev/video0, rtsp://..., http://..., a video, a folder
"""

import sys

from edge_nima import EdgeNimaError, open_scorer
from edge_nima.errors import PictureError
from edge_nima.sources import NothingYet, SourceOptions, open_source

BLOCKS = " ▁▂▃▄▅▆▇█"


def bars(distribution: tuple[float, ...]) -> str:
    """The ten-bin histogram, 1 to 10, as ten characters."""
    return "".join(BLOCKS[round(8 * share / max(distribution))] for share in distribution)


def main(source_text: str) -> None:
    """Open, score, print, close."""
    live = sys.stdout.isatty()
    scorer = open_scorer()
    source = open_source(source_text, SourceOptions(width=1280, height=720))
    try:
        source.open()
        while True:
            try:
                frame = source.read()
            except (NothingYet, PictureError):
                continue  # a folder in which nothing is new; one damaged frame, and the next may be good
            if frame is None:
                break
            record = scorer.score(frame)
            frame.close()
            line = f"{record.mean:5.2f}  {bars(record.distribution)}  ± {record.std:.2f}  {record.elapsed_ms:5.1f} ms"
            print(f"\r{line}" if live else line, end="" if live else "\n", flush=True)
    except KeyboardInterrupt:
        pass
    finally:
        source.close()
        if live:
            print()


if __name__ == "__main__":
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else "picamera2")
    except EdgeNimaError as error:
        sys.exit(f"pi_live: {error}")
