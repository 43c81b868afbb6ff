"""A server on this machine that can do what servers do, and what they should not."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


@dataclass
class Server:
    """Serves `files` and keeps what it was asked for."""

    address: str
    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    """Path and Range of each."""
    cuts: list[int] = field(default_factory=list)
    """Bytes after which the next connections break, one a connection."""
    ranges: bool = True
    """Whether Range is honoured."""
    redirect: str | None = None
    """Where all requests are sent on to."""
    gate: threading.Event = field(default_factory=threading.Event)
    """Answers wait for it."""


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.gate.wait(30)
            wanted = self.headers.get("Range")
            served.requests.append((self.path, wanted))
            if served.redirect is not None:
                self.send_response(302)
                self.send_header("Location", served.redirect)
                self.end_headers()
                return
            blob = served.files.get(self.path.rsplit("/", 1)[-1])
            if blob is None:
                self.send_error(404)
                return
            start = 0
            if wanted is not None and served.ranges:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if start >= len(blob):
                    self.send_error(416)
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(blob) - 1}/{len(blob)}")
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(blob) - start))
            self.end_headers()
            cut = served.cuts.pop(0) if served.cuts else len(blob)
            self.wfile.write(blob[start : start + cut])
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Server(f"http://127.0.0.1:{http.server_port}")
    served.gate.set()
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield served
    served.gate.set()
    http.shutdown()
    http.server_close()
    thread.join()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of downloaded weights, empty, and not there yet."""
    folder = tmp_path / "home"
    monkeypatch.setenv("DEEPCOLOR_HOME", str(folder))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("HTTP_PROXY", raising=False)
    monkeypatch.delenv("http_proxy", raising=False)
    monkeypatch.setattr("deepcolor.weights.download.WAIT", 0.0)
    return folder
