"""Faults: what goes wrong on purpose, and the gate that every request passes through."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections import Counter, deque
from typing import Any
from urllib.parse import parse_qs

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox import google_errors
from sandbox.errors import ApiError
from sandbox.google_errors import GOOGLE_KINDS, is_google
from sandbox.state import Sandbox

KINDS = (
    "429", "500", "502-html", "timeout", "truncated", "repeat-cursor", "slow", "empty-body",
    "string-error", "cut-connection", "401", "403", "404", "410", "503", "504",
    "duplicate", "reorder", "200-html", *GOOGLE_KINDS,
)  # fmt: skip
WEBHOOK_KINDS = ("duplicate", "reorder")
DEFAULT_DELAYS = {"timeout": 100.0, "slow": 2.0}
COUNTED = ("/v3/", *google_errors.GOOGLE_PATHS)
HTML = (
    b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
)
LOGIN_HTML = b"<!doctype html><html><head><title>Sign in</title></head><body>Sign in</body></html>"
LOG_LENGTH = 200


class Fault(msgspec.Struct):
    """`times` counts down to nothing; None is for ever."""

    kind: str
    path: str = ""
    times: int | None = None
    mailbox: str | None = None
    retry_after: int | None = None
    delay: float | None = None
    after: bool = False  # the request is carried out first; only its answer is lost
    used: int = 0

    def is_for(self, path: str, mailbox: str | None) -> bool:
        if self.times == 0 or (self.mailbox and (mailbox or "").casefold() != self.mailbox):
            return False
        if not self.path or self.path in path:
            return True
        try:
            return re.search(self.path, path) is not None
        except re.error:
            return False

    def use(self) -> None:
        self.used += 1
        if self.times is not None:
            self.times -= 1


class Faults:
    def __init__(self) -> None:
        self.items: list[Fault] = []

    def active(self) -> list[Fault]:
        return [fault for fault in self.items if fault.times != 0]

    def take(self, path: str, mailbox: str | None, *, has_cursor: bool) -> Fault | None:
        """The first fault for this request, used once."""
        for fault in self.items:
            if fault.kind in WEBHOOK_KINDS or not fault.is_for(path, mailbox):
                continue
            if fault.kind == "repeat-cursor" and not has_cursor:
                continue
            if fault.kind in GOOGLE_KINDS and not is_google(path):
                continue
            fault.use()
            return fault
        return None

    def take_webhook(self, kind: str, trigger: str) -> bool:
        for fault in self.items:
            if fault.kind == kind and fault.is_for(trigger, None):
                fault.use()
                return True
        return False


class RequestLog:
    """How often each endpoint was asked, and the last requests: no bodies, no keys."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.last: deque[dict[str, Any]] = deque(maxlen=LOG_LENGTH)

    def clear(self) -> None:
        self.counts.clear()
        self.last.clear()

    def add(self, scope: Scope, template: str, status: int, took: float, fault: str | None) -> None:
        method = scope["method"]
        self.counts[f"{method} {template}"] += 1
        query = scope["query_string"].decode("latin-1")
        line: dict[str, Any] = {
            "at": round(time.time(), 3),
            "method": method,
            "path": scope["path"],
            "template": template,
            # The query of these carries codes and tokens.
            "query": "" if _is_secret(scope["path"]) else query,
            "status": status,
            "ms": round(took * 1000, 1),
        }
        if fault is not None:
            line["fault"] = fault
        self.last.append(line)


def _is_secret(path: str) -> bool:
    return "/connect/" in path or path.startswith("/google/")


_TEMPLATES = [
    (re.compile(r"^(/v3/grants/)[^/]+"), r"\1{grant_id}"),
    (re.compile(r"(/messages/)(?!send|schedules)[^/]+"), r"\1{message_id}"),
    (re.compile(r"(/events/)(?!import)[^/]+"), r"\1{event_id}"),
    (re.compile(r"(/(folder|thread|draft|calendar|attachment)s/)[^/]+"), r"\1{\2_id}"),
]
_GMAIL_TEMPLATES = [
    (re.compile(r"^(/gmail/v1/users/)[^/]+"), r"\1{userId}"),
    (re.compile(r"(/messages/)[^/]+(/attachments/)[^/]+"), r"\1{messageId}\2{id}"),
    (re.compile(r"(/(?:messages|labels)/)(?!batchModify|\{)[^/]+"), r"\1{id}"),
]


def template_of(path: str) -> str:
    """The route's template for a request that a fault kept from the router."""
    for pattern, replacement in _GMAIL_TEMPLATES if is_google(path) else _TEMPLATES:
        path = pattern.sub(replacement, path)
    return path


class Gate:
    """Counts API requests and lets faults have their way with them."""

    def __init__(self, app: ASGIApp, sandbox: Sandbox, faults: Faults, log: RequestLog) -> None:
        self.app = app
        self.sandbox = sandbox
        self.faults = faults
        self.log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(COUNTED):
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        fault = None
        if self.faults.items:
            query = scope["query_string"]
            has_cursor = b"page_token=" in query or b"pageToken=" in query
            fault = self.faults.take(scope["path"], self._mailbox(scope), has_cursor=has_cursor)
        try:
            if fault is None:
                await self.app(scope, receive, watch)
            else:
                await self._go_wrong(fault, scope, receive, watch)
        finally:
            template = scope.get("sandbox.template") or template_of(scope["path"])
            took = time.perf_counter() - started
            self.log.add(scope, template, status, took, fault.kind if fault else None)

    def _mailbox(self, scope: Scope) -> str | None:
        if is_google(scope["path"]):
            _, _, token = dict(scope["headers"]).get(b"authorization", b"").partition(b" ")
            access = self.sandbox.google.access_of(token.decode("latin-1").strip())
            return access.account if access else None
        parts = scope["path"].split("/")
        if len(parts) < 4 or parts[2] != "grants":
            return None
        grant = self.sandbox.find_grant(parts[3])
        return grant.email if grant else None

    async def _go_wrong(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        if fault.after:
            await self.app(scope, receive, _nowhere)
        delay = fault.delay if fault.delay is not None else DEFAULT_DELAYS.get(fault.kind, 0.0)
        if delay:
            await asyncio.sleep(delay)
        if fault.kind == "slow":
            await self.app(scope, receive, send)
        elif fault.kind in ("truncated", "repeat-cursor", "cut-connection"):
            await self._spoil(fault.kind, scope, receive, send)
        elif fault.kind == "502-html":
            await _answer(send, 502, HTML, {"content-type": "text/html"})
        elif fault.kind == "200-html":
            # A proxy or a portal in between wants somebody to sign in.
            await _answer(send, 200, LOGIN_HTML, {"content-type": "text/html"})
        elif fault.kind == "empty-body":
            await _answer(send, 200, b"", {})
        elif fault.kind == "string-error":
            body = {"request_id": str(uuid.uuid4()), "error": "something went wrong"}
            await _answer_json(send, 400, body)
        elif is_google(scope["path"]):
            refused = google_errors.of_fault(fault.kind, scope["path"], fault.retry_after)
            await _answer_json(send, refused.status, refused.body(), refused.headers)
        else:
            error = _api_error(fault)
            await _answer_json(send, error.status, error.body(str(uuid.uuid4())), error.headers)

    async def _spoil(self, kind: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request be answered, then damage the answer."""
        start: Message = {}
        content = b""

        async def collect(message: Message) -> None:
            nonlocal start, content
            if message["type"] == "http.response.start":
                start = message
            else:
                content += message.get("body", b"")

        await self.app(scope, receive, collect)
        length = len(content)
        if kind == "repeat-cursor":
            content = _with_repeated_cursor(content, scope["query_string"])
            length = len(content)
        elif kind == "truncated":
            content = content[: len(content) * 2 // 3]
            length = len(content)
        else:
            content = content[: len(content) // 2]  # fewer bytes than the header promises
        headers = [(k, v) for k, v in start["headers"] if k != b"content-length"]
        headers.append((b"content-length", str(length).encode()))
        await send({**start, "headers": headers})
        await send({"type": "http.response.body", "body": content})


async def _nowhere(message: Message) -> None:
    """Where the answer goes that nobody gets."""


def _with_repeated_cursor(content: bytes, query: bytes) -> bytes:
    answer, given = msgspec.json.decode(content), parse_qs(query.decode("latin-1"))
    if "pageToken" in given:
        answer["nextPageToken"] = given["pageToken"][0]
    else:
        answer["next_cursor"] = given["page_token"][0]
    return msgspec.json.encode(answer)


def _api_error(fault: Fault) -> ApiError:
    retry = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    if fault.kind == "429":
        if fault.retry_after is None:
            return ApiError(429, "nylas_rate_limit_exceeded", "Too many requests.")
        provider = {"code": 429, "message": "User-rate limit exceeded."}
        message = "Too many requests, please try again shortly."
        return ApiError(429, "rate_limit_error", message, provider_error=provider, headers=retry)
    status = 504 if fault.kind == "timeout" else int(fault.kind)
    kind, message = {
        401: ("unauthorized", "Unauthorized"),
        403: ("insufficient_scopes", "The grant lacks a scope for this request."),
        404: ("not_found_error", "requested object not found"),
        410: ("not_found_error", "requested object is gone"),
        504: ("provider_error", "Provider request timed out."),
    }.get(status, ("internal_error", "Internal error, please try again."))
    return ApiError(status, kind, message, headers=retry)


async def _answer_json(
    send: Send, status: int, body: dict[str, Any], headers: dict[str, str] | None = None
) -> None:
    content = msgspec.json.encode(body)
    await _answer(send, status, content, {"content-type": "application/json", **(headers or {})})


async def _answer(send: Send, status: int, content: bytes, headers: dict[str, str]) -> None:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    raw.append((b"content-length", str(len(content)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": content})
