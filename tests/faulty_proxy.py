"""A proxy before an S3 server that does what networks and overloaded stores do, to some requests, by a seeded die.

Faults: an error 500 instead of the work; an answer that comes late; an upload that is cut in the middle, of which the
server hears nothing; an answer that is lost after the work is done; a download that is cut in the middle.
"""

import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, get_args

import httpx

Fault = Literal["error", "late", "upload cut", "answer lost", "download cut"]
LATE = 2.0
"""Seconds of a late answer."""

ERROR = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>InternalError</Code>'
    b"<Message>We encountered an internal error. Please try again.</Message></Error>"
)
HOP = {"connection", "transfer-encoding", "content-length", "content-encoding", "keep-alive", "host", "date", "server"}
"""Headers that are each connection's own."""


@dataclass
class Faults:
    """What goes wrong: a share of all requests at random, and all uploads to names with some text in them."""

    server: str
    """URL of the real server."""
    die: random.Random
    share: float = 0.0
    broken: str = ""
    """Text in the names that cannot be written; empty: all can."""
    done: Counter[Fault] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def draw(self, method: str, path: str) -> Fault | None:
        """The fault of a request, if any."""
        with self.lock:
            fault = self.die.choice(get_args(Fault)) if self.die.random() < self.share else None
            if self.broken and method in ("PUT", "POST") and self.broken in path:
                fault = "error"
            if fault:
                self.done[fault] += 1
            return fault


class Handler(BaseHTTPRequestHandler):
    """Passes requests on, more or less."""

    protocol_version = "HTTP/1.1"
    faults: Faults
    client: httpx.Client

    def _pass(self) -> None:
        fault = self.faults.draw(self.command, self.path)
        length = int(self.headers.get("Content-Length", 0))
        if fault == "upload cut" and length:
            self.rfile.read(length // 2)
            return self._cut()
        body = self.rfile.read(length)
        if fault == "error":
            return self._send(500, {"Content-Type": "application/xml"}, ERROR)
        if fault == "late":
            time.sleep(LATE)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
        found = self.client.request(self.command, f"{self.faults.server}{self.path}", headers=headers, content=body)
        if fault == "answer lost":
            return self._cut()
        kept = {name: value for name, value in found.headers.items() if name.lower() not in HOP}
        if self.command == "HEAD" and "content-length" in found.headers:
            kept["Content-Length"] = found.headers["content-length"]
        return self._send(found.status_code, kept, found.content, cut=fault == "download cut")

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass

    def _send(self, status: int, headers: dict[str, str], body: bytes, cut: bool = False) -> None:
        self.send_response(status)
        length = {} if status in (204, 304) else {"Content-Length": str(len(body))}
        for name, value in (length | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self._cut()

    def _cut(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def before(faults: Faults) -> Iterator[str]:
    """URL of a proxy before the server of some faults."""
    with httpx.Client(timeout=60) as client:
        handler = type("Proxy", (Handler,), {"faults": faults, "client": client})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join(10)
