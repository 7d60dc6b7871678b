"""A node daemon over FastCGI, with flup: says what it was told of a client, and reports progress while it works."""

import json
import os
import sys
import time

from flup.server.fcgi import WSGIServer

# Without an address it accepts on its standard input.
*ADDRESS, GATES = sys.argv[1:]
MESSAGE_END = b"\x03"


def environment(environ, start):
    start("200 OK", [("Content-Type", "application/json")])
    said = {name: value for name, value in environ.items() if isinstance(value, str)}
    return [json.dumps(said | {"uid": os.getuid(), "pid": os.getpid()}).encode()]


def progress(environ, start):
    """Makes a message only once the client is known to have the one before."""
    start("200 OK", [("Content-Type", "application/octet-stream")])
    for step in range(3):
        yield json.dumps({"progress": step / 3}).encode() + MESSAGE_END
        while not os.path.exists(os.path.join(GATES, str(step))):
            time.sleep(0.002)
    yield json.dumps({"success": True, "result": "disk copied"}).encode() + MESSAGE_END


def count(environ, start):
    body, total = environ["wsgi.input"], 0
    while piece := body.read(65536):
        total += len(piece)
    start("200 OK", [("Content-Type", "text/plain")])
    return [str(total).encode()]


def application(environ, start):
    handlers = {"env": environment, "progress": progress, "count": count}
    last = environ.get("REQUEST_URI", "").split("?")[0].rsplit("/", 1)[-1]
    return handlers[last](environ, start)


address = ADDRESS[0] if ADDRESS else None
if address and not address.startswith("/"):
    host, port = address.rsplit(":", 1)
    address = (host, int(port))
WSGIServer(application, bindAddress=address, umask=0).run()
