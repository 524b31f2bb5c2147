"""Google on loopback: tokens at /token, the Gmail API elsewhere, each with a script of its own."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from crm_sync.providers.errors import ProviderError
from crm_sync.providers.types import IntakeCredentials
from tests.providers import scripted_nylas
from tests.providers.scripted_nylas import Answer, Asked

CLIENT_ID = "client-1.apps.google.example"
CLIENT_SECRET = "GOCSPX-secret"
REFRESH_TOKEN = "1//refresh-secret"
CREDENTIALS = IntakeCredentials(CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN)
SECRETS = (CLIENT_SECRET, REFRESH_TOKEN, "ya29", "ann.secret", "crm.intake@")


def answer(
    body: Any = b"",
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
    delay: float = 0,
    missing_bytes: int = 0,
) -> Answer:
    """Bytes go out as they are, anything else as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, content, headers or {}, delay, missing_bytes)


def refusal(status: int, reason: str, message: str = "no: ann.secret@example.com") -> Answer:
    """In Google's own shape (contract sheet §6), with things in it that must not leak."""
    entry = {"domain": "global", "reason": reason, "message": message}
    error = {"code": status, "message": message, "errors": [entry], "status": "SOME_STATUS"}
    return answer({"error": error}, status=status)


@dataclass
class ScriptedGoogle:
    url: str = ""
    #: Requests to the API, and those to the token endpoint.
    asked: list[Asked] = field(default_factory=list)
    asked_tokens: list[Asked] = field(default_factory=list)
    script: list[Answer] = field(default_factory=list)
    #: Empty: a good token, another one each time.
    token_script: list[Answer] = field(default_factory=list)
    #: Instead of a script, where several threads ask at once.
    respond: Callable[[Asked], Answer] | None = None

    @property
    def token_uri(self) -> str:
        return f"{self.url}/token"

    def answers(self, body: Any = b"", **more: Any) -> "ScriptedGoogle":
        self.script.append(answer(body, **more))
        return self

    def refuses(self, status: int, reason: str, *message: str) -> "ScriptedGoogle":
        self.script.append(refusal(status, reason, *message))
        return self

    def gives_token(self, body: Any = b"", **more: Any) -> "ScriptedGoogle":
        self.token_script.append(answer(body, **more))
        return self

    def answer_to(self, asked: Asked) -> Answer:
        if asked.path == "/token":
            self.asked_tokens.append(asked)
            return self.token_script.pop(0) if self.token_script else answer(self._good_token())
        self.asked.append(asked)
        if self.respond:
            return self.respond(asked)
        return self.script.pop(0) if self.script else answer({"error": "no script"}, status=418)

    def _good_token(self) -> dict[str, Any]:
        number = len(self.asked_tokens)
        return {"access_token": f"ya29.{number}", "expires_in": 3599, "token_type": "Bearer"}


def form_of(asked: Asked) -> dict[str, str]:
    return {name: value for name, (value,) in parse_qs(asked.body.decode()).items()}


def bearer_of(asked: Asked) -> str:
    return asked.headers["Authorization"].removeprefix("Bearer ")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    google: ScriptedGoogle

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = Asked(self.command, self.path, self.headers, body, self.client_address[1])
        given = self.google.answer_to(asked)
        time.sleep(given.delay)
        try:
            self.send_response(given.status)
            for name, value in given.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(given.body) + given.missing_bytes))
            self.end_headers()
            self.wfile.write(given.body)
        except OSError:
            pass  # The client did not wait.
        self.close_connection = bool(given.missing_bytes)

    do_GET = do_POST = _answer

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


def start() -> tuple[ScriptedGoogle, ThreadingHTTPServer]:
    google = ScriptedGoogle()
    handler = type("Handler", (_Handler,), {"google": google})
    server = _Server(("127.0.0.1", 0), handler)
    google.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return google, server


def failure(call: Callable[..., object], *arguments: Any, **more: Any) -> ProviderError:
    """The error that the call ends in; whatever it is, nothing of ours or the mailbox's leaks."""
    error = scripted_nylas.failure(call, *arguments, **more)
    for text in (str(error), repr(error), error.code):
        for secret in SECRETS:
            assert secret not in text
    assert str(error).endswith(".")
    return error
