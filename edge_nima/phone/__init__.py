"""The page that scores on a phone, served to the phones of a local network (extra `web`).

`page` is what is served, all of it in memory; `offer` puts a chosen model first; `certificate` makes what HTTPS needs,
because browsers give the camera to secure pages alone; `addresses` finds where a phone reaches this machine; `qr` draws
that on a terminal; `app` answers and `server` listens. The page itself is made by `npm run build` in examples/web.
"""
