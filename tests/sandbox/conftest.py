"""A real sandbox process per test session, the SDK to ask it, and a receiver for its webhooks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from nylas import Client

ROOT = Path(__file__).resolve().parents[2]
KEY = "sandbox-key"
MIA = "mia.berg@northsound.example"  # Google, not authorised at the start, has an alias
SAM = "sam.cole@northsound.example"  # Microsoft, authorised
YUKI = "yuki.tanaka@northsound.example"  # Microsoft, not authorised
LENA = "lena.hofmann@northsound.example"  # Google, authorised
ADA = "ada.osei@northsound.example"  # Google, not authorised
ANCHOR = "2026-03-16T00:00:00+00:00"


class Server:
    """`python -m sandbox` in a process of its own, on a free port."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "sandbox", "--port", "0", *arguments]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("COV")}
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.banner = self.process.stdout.readline()
        assert "listening on" in self.banner, self.banner
        self.url = self.banner.split("listening on ")[1].split()[0]
        self.session = requests.Session()
        self.session.trust_env = False

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(20)

    @property
    def client(self) -> Client:
        return Client(KEY, self.url)

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        options.setdefault("timeout", 30)
        options.setdefault("headers", {"Authorization": f"Bearer {KEY}"})
        return self.session.request(method, self.url + path, **options)

    def get(self, path: str, **params: Any) -> requests.Response:
        return self.request("GET", path, params=params)

    def control(self, switch: str, /, **body: Any) -> dict[str, Any]:
        """Use a switch; it must work."""
        answer = self.request("POST", f"/sandbox/{switch}", json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def deliver(self, mailbox: str, subject: str = "Hello", **more: Any) -> dict[str, Any]:
        more.setdefault("from", {"name": "Javier Ruiz", "email": "j.ruiz@harbor.example"})
        return self.control("deliver", mailbox=mailbox, subject=subject, **more)

    def authorise(self, mailbox: str) -> str:
        return str(self.control("grant", mailbox=mailbox)["grant_id"])

    def fault(self, kind: str, **more: Any) -> None:
        self.control("faults", kind=kind, **more)

    def truth(self, mailbox: str, **params: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            query = {"mailbox": mailbox, **params, **({"page_token": cursor} if cursor else {})}
            page = self.get("/sandbox/truth", **query).json()
            found += page["data"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    def folder(self, mailbox: str, role: str) -> str:
        attribute = f"\\{role.capitalize()}"
        folders = self.get(f"/v3/grants/{mailbox}/folders").json()["data"]
        return str(next(f["id"] for f in folders if attribute in f["attributes"]))

    def all_messages(self, mailbox: str, **params: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            query = {"limit": 200, **params, **({"page_token": cursor} if cursor else {})}
            answer = self.get(f"/v3/grants/{mailbox}/messages", **query)
            assert answer.status_code == 200, answer.text
            found += answer.json()["data"]
            cursor = answer.json().get("next_cursor")
            if cursor is None:
                return found


class Receiver:
    """Where webhooks arrive. `statuses` scripts the answers; 200 when it is used up."""

    def __init__(self) -> None:
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        self.challenge: Callable[[str], tuple[int, str]] = lambda value: (200, value)
        self._arrived = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                value = parse_qs(urlsplit(self.path).query).get("challenge", [""])[0]
                self._answer(*receiver.challenge(value))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                with receiver._arrived:
                    receiver.received.append(
                        ({k.lower(): v for k, v in self.headers.items()}, body)
                    )
                    status = receiver.statuses.pop(0) if receiver.statuses else 200
                    receiver._arrived.notify_all()
                self._answer(status, "")

            def _answer(self, status: int, text: str) -> None:
                self.send_response(status)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hooks"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait_for(self, count: int, seconds: float = 30) -> list[dict[str, Any]]:
        """The first `count` notifications, decoded."""
        with self._arrived:
            arrived = self._arrived.wait_for(lambda: len(self.received) >= count, seconds)
        assert arrived, f"{len(self.received)} of {count} webhooks arrived"
        return [json.loads(body) for _, body in self.received]


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The demonstration's size. Tests share it, and clean up what others would stumble over."""
    running = Server("--anchor", ANCHOR)
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def no_faults_left(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "server" in request.fixturenames:
        request.getfixturevalue("server").request("DELETE", "/sandbox/faults")


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    """Start further processes; all are stopped at the end of the test."""
    running: list[Server] = []

    def begin(*arguments: str) -> Server:
        running.append(Server(*arguments))
        return running[-1]

    yield begin
    for one in running:
        one.kill()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    listening = Receiver()
    yield listening
    listening.close()
