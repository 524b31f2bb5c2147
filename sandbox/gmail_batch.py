"""Batches: many requests in one `multipart/mixed`, each answered on its own.

Every part goes through the gate as if it had come alone: it is counted, and a fault may meet it.
"""

from __future__ import annotations

import secrets
from email import message_from_bytes
from email.message import Message as ParsedMessage
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Scope

from sandbox.google_errors import GoogleError, invalid
from sandbox.google_routing import error_answer

MOST_PARTS = 100


class _Part:
    """One inner request, and its answer."""

    def __init__(self, enclosed: ParsedMessage, outer: Scope) -> None:
        content = enclosed.get_payload(decode=True)
        if enclosed.get_content_type() != "application/http" or not isinstance(content, bytes):
            raise invalid("Each part of a batch must be application/http")
        line, _, rest = content.replace(b"\r\n", b"\n").partition(b"\n")
        words = line.decode("latin-1").split()
        if len(words) < 2:
            raise invalid("A part of the batch has no request line")
        inner = message_from_bytes(rest)
        address = urlsplit(words[1])
        body = inner.get_payload(decode=True)
        self.content_id = str(enclosed.get("Content-ID", ""))
        self.body = body if isinstance(body, bytes) else b""
        self.status, self.headers, self.content = 0, list[tuple[bytes, bytes]](), b""
        own = {name.lower().encode(): str(value).encode() for name, value in inner.items()}
        shared = {k: v for k, v in outer["headers"] if k == b"authorization"}
        self.scope: Scope = {
            **{key: outer[key] for key in ("asgi", "http_version", "scheme", "server", "client")},
            "type": "http",
            "method": words[0].upper(),
            "path": address.path,
            "raw_path": address.path.encode(),
            "root_path": "",
            "query_string": address.query.encode(),
            "headers": list({**shared, **own}.items()),
        }

    async def answer(self, gate: ASGIApp) -> None:
        async def receive() -> Message:
            return {"type": "http.request", "body": self.body, "more_body": False}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.status, self.headers = message["status"], list(message["headers"])
            else:
                self.content += message.get("body", b"")

        await gate(self.scope, receive, send)

    def written(self) -> bytes:
        own = self.content_id.strip("<>")
        phrase = HTTPStatus(self.status).phrase
        head = [
            "Content-Type: application/http",
            f"Content-ID: <response-{own}>",
            "",
            f"HTTP/1.1 {self.status} {phrase}",
            *(f"{name.decode()}: {value.decode()}" for name, value in self.headers),
            "",
            "",
        ]
        return "\r\n".join(head).encode() + self.content + b"\r\n"


def _read(content_type: str, body: bytes, outer: Scope) -> list[_Part]:
    whole = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    parts = whole.get_payload()
    if whole.get_content_type() != "multipart/mixed" or not isinstance(parts, list):
        raise invalid("Failed to parse batch request, error: no multipart/mixed content")
    if len(parts) > MOST_PARTS:
        raise invalid(f"The batch request holds more than {MOST_PARTS} calls")
    return [_Part(part, outer) for part in parts if isinstance(part, ParsedMessage)]


async def batch(request: Request) -> Response:
    request.scope["sandbox.template"] = "/batch"
    body = await request.body()
    try:
        parts = _read(request.headers.get("content-type", ""), body, request.scope)
        if any(part.scope["path"].startswith("/batch") for part in parts):
            raise invalid("A batch cannot hold a batch")
    except GoogleError as error:
        return error_answer(error)
    boundary = f"batch_{secrets.token_hex(16)}"
    content = b""
    for part in parts:
        await part.answer(request.app.state.gate)
        content += f"--{boundary}\r\n".encode() + part.written()
    content += f"--{boundary}--\r\n".encode()
    return Response(content, media_type=f"multipart/mixed; boundary={boundary}")


ROUTES: list[Route] = [
    Route("/batch", batch, methods=["POST"]),
    Route("/batch/gmail/v1", batch, methods=["POST"]),
]
