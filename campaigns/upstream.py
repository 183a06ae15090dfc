"""A Hex repository on a loopback port that serves a folder and fails a fraction of the requests."""

import hashlib
import os
import random
import signal
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FAULTS = ("hangup", "status", "truncate", "empty")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        fault = self.server.draw()
        if fault == "hangup":
            self.close_connection = True
            return
        if fault == "status":
            return self.answer(503, b"")
        path = os.path.join(self.server.folder, self.path.split("?")[0].lstrip("/"))
        try:
            with open(path, "rb") as file:
                body = file.read()
        except OSError:
            return self.answer(404, b"")
        tag = '"' + hashlib.sha256(body).hexdigest()[:16] + '"'
        if self.headers.get("If-None-Match") == tag:
            return self.answer(304, b"", tag)
        cut = {"truncate": len(body) // 2, "empty": 0}.get(fault)
        self.answer(200, body, tag, cut)

    def answer(self, status, body, tag=None, cut=None):
        head = f"HTTP/1.1 {status} Campaign\r\n"
        if status != 304:
            head += f"content-length: {len(body)}\r\n"
        if tag:
            head += f"etag: {tag}\r\n"
        sent = body if cut is None else body[:cut]
        try:
            self.wfile.write(head.encode() + b"\r\n" + sent)
        except OSError:
            self.close_connection = True
        if cut is not None:
            self.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, folder, share, seed):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.share, self.random, self.lock = folder, share, random.Random(seed), threading.Lock()

    def draw(self):
        with self.lock:
            return self.random.choice(FAULTS) if self.random.random() < self.share else None

    def handle_error(self, *_):
        pass


class Upstream:
    """Serves a folder from a separate process until it is stopped. The seed selects a fraction (`share`) of requests to fail."""

    def __init__(self, folder, share=0.0, seed=0):
        server = _Server(folder, share, seed)
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        self.process = os.fork()
        if self.process == 0:
            try:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                server.serve_forever(poll_interval=60)
            finally:
                os._exit(0)
        server.socket.close()

    def stop(self):
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
