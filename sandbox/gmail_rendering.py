"""A Gmail message in the API's words: minimal, metadata, full or raw."""

from __future__ import annotations

import base64
import binascii
from email import message_from_bytes
from email.message import Message as ParsedMessage
from html import escape
from typing import Any

from sandbox.gmail_mailbox import GmailMailbox, Message
from sandbox.gmail_search import decoded, snippet_of, text_of
from sandbox.hashing import mix_of

FORMATS = ("minimal", "full", "raw", "metadata")
_DEEPEST = 50
# Larger texts are given by attachmentId, too.
LARGE_BODY = 5 * 1024 * 1024


def base64url(content: bytes, *, padding: bool) -> str:
    text = base64.urlsafe_b64encode(content).decode()
    return text if padding else text.rstrip("=")


def headers_of(part: ParsedMessage) -> list[dict[str, str]]:
    return [{"name": name, "value": decoded(value)} for name, value in part.items()]


def _children(part: ParsedMessage) -> list[ParsedMessage]:
    """The parts of a part; of an enclosed message that one, also where it came in base64."""
    if part.get_content_type() == "message/rfc822" and _is_base64(part):
        return [message_from_bytes(_content(part))]
    payload = part.get_payload()
    if not isinstance(payload, list):
        return []
    return [child for child in payload if isinstance(child, ParsedMessage)]


def _is_base64(part: ParsedMessage) -> bool:
    return str(part.get("Content-Transfer-Encoding", "")).strip().casefold() == "base64"


def _content(part: ParsedMessage) -> bytes:
    """The bytes of a part that has no parts; of an enclosed message its source."""
    payload = part.get_payload()
    if isinstance(payload, list):
        inner = payload[0] if payload else None
        source = inner.as_bytes() if isinstance(inner, ParsedMessage) else b""
        if not _is_base64(part):
            return source
        try:
            return base64.b64decode(source)
        except binascii.Error:
            return source
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


class _Tree:
    """Numbers the parts as Gmail does: the whole is "", its children "0", "1", "1.0", …"""

    def __init__(self, number: int, *, padding: bool) -> None:
        self._number = number
        self._padding = padding

    def part(self, parsed: ParsedMessage, part_id: str = "", depth: int = 0) -> dict[str, Any]:
        filename = decoded(parsed.get_filename() or "")
        data: dict[str, Any] = {
            "partId": part_id,
            "mimeType": parsed.get_content_type(),
            "filename": filename,
            "headers": headers_of(parsed),
        }
        children = _children(parsed) if depth < _DEEPEST else []
        if children:
            is_enclosed = parsed.get_content_type() == "message/rfc822"
            data["body"] = self._attached(parsed, part_id) if is_enclosed else {"size": 0}
            data["parts"] = [
                self.part(child, f"{part_id}.{n}" if part_id else str(n), depth + 1)
                for n, child in enumerate(children)
            ]
            return data
        data["body"] = self._body(parsed, part_id, filename)
        return data

    def _body(self, parsed: ParsedMessage, part_id: str, filename: str) -> dict[str, Any]:
        is_text = parsed.get_content_maintype() == "text" and not filename
        if is_text:
            content = text_of(parsed).encode()  # Gmail gives text in UTF-8, whatever it came in
            if len(content) <= LARGE_BODY:
                return {
                    "size": len(content),
                    "data": base64url(content, padding=self._padding),
                }
        return self._attached(parsed, part_id)

    def _attached(self, parsed: ParsedMessage, part_id: str) -> dict[str, Any]:
        size = len(_content(parsed))
        return {"attachmentId": attachment_id(self._number, part_id), "size": size}


def attachment_id(number: int, part_id: str) -> str:
    """Long and opaque; only good together with its message."""
    inner = f"{mix_of(number, 81):016x}/{part_id}".encode()
    return "ANGjdJ" + base64.urlsafe_b64encode(inner * 3).decode().rstrip("=")


def attachment_of(mailbox: GmailMailbox, message: Message, wanted: str) -> bytes | None:
    """The content of the part with this attachment ID."""
    try:
        text = wanted.removeprefix("ANGjdJ")
        inner = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return None
    part_id = inner[: len(inner) // 3].decode("latin-1").partition("/")[2]
    if attachment_id(message.number, part_id) != wanted:
        return None
    part: ParsedMessage = message_from_bytes(mailbox.raw(message))
    for step in part_id.split("."):
        if step:
            part = _children(part)[int(step)]
    return _content(part)


def short(message: Message) -> dict[str, Any]:
    return {"id": message.id, "threadId": message.thread_id}


def written(
    mailbox: GmailMailbox,
    message: Message,
    kind: str,
    *,
    padding: bool,
    wanted_headers: list[str] | None = None,
) -> dict[str, Any]:
    raw = mailbox.raw(message)
    parsed = message_from_bytes(raw)
    data: dict[str, Any] = {
        **short(message),
        "labelIds": list(message.labels),
        "snippet": escape(snippet_of(parsed)),
        "sizeEstimate": len(raw),
        "historyId": str(message.history_id),
        "internalDate": str(message.at),
    }
    if kind == "raw":
        data["raw"] = base64url(raw, padding=padding)
    elif kind == "full":
        data["payload"] = _Tree(message.number, padding=padding).part(parsed)
    elif kind == "metadata":
        headers = headers_of(parsed)
        if wanted_headers:
            names = {name.casefold() for name in wanted_headers}
            headers = [header for header in headers if header["name"].casefold() in names]
        data["payload"] = {"mimeType": parsed.get_content_type(), "headers": headers}
    return data
