"""A publisher with faults: a local HTTP server."""

import io
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np


def images(folder, count, seed=0):
    """Name and incompressible content of each file."""
    rng = np.random.default_rng((seed, count))
    return {f"{folder}/{i}.jpg": rng.bytes(int(rng.integers(9_000, 30_000))) for i in range(count)}


def zipped(files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as content:
        for name, data in files.items():
            content.writestr(name, data)
    return stream.getvalue()


class Publisher(ThreadingHTTPServer):
    """Serves `files`; each request takes the next of `faults`, then none.

    A fault is a dict: status (answer that), drop (close after so many bytes), whole (ignore the
    range), length (lie about it), flip (change that byte), hold (stop after so many
    bytes).
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.faults, self.requests = {}, [], []
        self.gate = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/data"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        server = self.server
        fault = server.faults.pop(0) if server.faults else {}
        asked = self.headers.get("Range", "")
        server.requests.append((self.path, asked))
        content = server.files.get(self.path.removeprefix("/data/"))
        self.close_connection = True
        if "status" in fault or content is None:
            self.send_error(fault.get("status", 404))
            return
        start = int(asked[6:-1]) if asked and not fault.get("whole") else 0
        if start >= len(content):
            self.send_error(416)
            return
        body = bytearray(content)
        if "flip" in fault:
            body[fault["flip"]] ^= 0xFF
        body = bytes(body[start:])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(fault.get("length", len(body))))
        if start:
            end = f"{len(content) - 1}/{len(content)}"
            self.send_header("Content-Range", f"bytes {start}-{end}")
        self.end_headers()
        self.send_body(body[: fault.get("drop", len(body))], fault)

    def send_body(self, body, fault):
        try:
            for i in range(0, len(body), 10_000):
                self.wfile.write(body[i : i + 10_000])
                if "hold" in fault and i >= fault["hold"]:
                    self.server.gate.wait(30)
            self.wfile.flush()
        except OSError:
            pass
