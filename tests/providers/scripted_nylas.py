"""A real HTTP server on loopback that gives scripted answers in order and remembers requests."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from crm_sync.providers.errors import ProviderError

API_KEY = "nyk_v0_a-secret-of-ours"
HTML = b"<html><body>Bad gateway, request of ann.secret@example.com</body></html>"


@dataclass
class Asked:
    method: str
    target: str
    headers: Message
    body: bytes
    client_port: int

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        pairs = parse_qs(urlsplit(self.target).query, keep_blank_values=True)
        assert all(len(values) == 1 for values in pairs.values())
        return {name: values[0] for name, values in pairs.items()}


@dataclass
class Answer:
    status: int
    body: bytes
    headers: dict[str, str]
    delay: float = 0
    #: Says that this many more bytes follow, and hangs up.
    missing_bytes: int = 0


@dataclass
class ScriptedNylas:
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    script: list[Answer] = field(default_factory=list)

    def answers(
        self,
        body: Any = b"",
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
        delay: float = 0,
        missing_bytes: int = 0,
    ) -> "ScriptedNylas":
        """Adds one answer: bytes go out as they are, anything else as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.script.append(Answer(status, content, headers or {}, delay, missing_bytes))
        return self

    def refuses(self, status: int, **more: Any) -> "ScriptedNylas":
        """An error in Nylas's own shape, with things in it that must not leak."""
        error = {"type": "some_type", "message": "no entry for ann.secret@example.com", **more}
        return self.answers({"request_id": "r", "error": error}, status=status)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    nylas: ScriptedNylas

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = Asked(self.command, self.path, self.headers, body, self.client_address[1])
        self.nylas.asked.append(asked)
        if not self.nylas.script:
            self.nylas.answers({"error": "the script has no more answers"}, status=418)
        answer = self.nylas.script.pop(0)
        time.sleep(answer.delay)
        try:
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body) + answer.missing_bytes))
            self.end_headers()
            self.wfile.write(answer.body)
        except OSError:
            pass  # The client did not wait.
        self.close_connection = bool(answer.missing_bytes)

    do_GET = do_POST = do_PUT = do_DELETE = _answer

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


def start() -> tuple[ScriptedNylas, ThreadingHTTPServer]:
    nylas = ScriptedNylas()
    handler = type("Handler", (_Handler,), {"nylas": nylas})
    server = _Server(("127.0.0.1", 0), handler)
    nylas.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return nylas, server


def failure(call: Callable[..., object], *arguments: Any, **more: Any) -> ProviderError:
    """The error that the call ends in; whatever it is, nothing of ours or the mailbox's leaks."""
    with pytest.raises(ProviderError) as caught:
        call(*arguments, **more)
    error = caught.value
    for text in (str(error), repr(error), error.code):
        for secret in (API_KEY, "ann.secret", "http", "html"):
            assert secret not in text
    # The exceptions beneath hold URLs, and a logged traceback would show them.
    assert error.__suppress_context__ or error.__context__ is None
    return error
