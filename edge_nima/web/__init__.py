"""The page of a watcher: the live picture with its score, the last hour, the best shots, health (extra `web`).

`WebServer` is a `Listener` with an HTTP server in a thread of its own; the page is page.html with its style and
scripts beside it, and loads nothing from elsewhere. starlette and uvicorn are imported when it starts.
"""

from edge_nima.web.options import Options
from edge_nima.web.server import WebServer
from edge_nima.web.shots import Gallery

__all__ = ["Gallery", "Options", "WebServer"]
