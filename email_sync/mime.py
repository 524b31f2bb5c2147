"""A received message as it can be read: `read` never raises, whatever the bytes.

The structure is taken apart here, on the received bytes, and not with the standard library's
parser, for three reasons. An attached message is handed on exactly as it was sent, never
re-serialised, and one that was sent in base64 (which the standard library does not read) is found.
The time is linear: five megabytes of blank lines or sixty nested parts cost the standard library
seconds. And no malformed header can cost the message. Where a message is damaged (boundary missing
or never closed, blank line missing, wrong charset), the reading is that of `policy.default`.

Caps: parts, depth, fields, addresses, and characters of text; what lies beyond is left out.
"""

import binascii
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cached_property

from msgspec import Struct

from crm_sync.providers.types import Address, Attachment
from email_sync import address_lists, headers
from email_sync.charsets import decode

MAX_PARTS = 500
MAX_DEPTH = 30
#: Bytes of one body part that are turned into text; more than the product keeps.
MAX_TEXT_BYTES = 3_000_000
MAX_ATTACHED_MESSAGES = 50
_MAX_REFERENCES = 200

_MESSAGE_ID = re.compile(r"<[^<>\s]*>")
#: Trace and identification fields hold no encoded words; a sender must not smuggle text into them.
_NEVER_ENCODED = frozenset(
    "authentication-results arc-authentication-results arc-message-signature arc-seal "
    "dkim-signature message-id in-reply-to references received received-spf return-path".split()
)
_MESSAGE_TYPES = frozenset({"message/rfc822", "message/global", "message/x-rfc822"})
_MAX_LOOKED_AT = 2_000
_IS_HTML = re.compile(
    r"\s*<(?:!doctype html|(?:html|head|meta|style|body|div|p|table|span|font)[\s>])", re.IGNORECASE
)
_GUESSED_BOUNDARY = re.compile(rb"(?:^|\n)--([^\r\n]{1,70})\r?\nContent-", re.IGNORECASE)


class Received(Struct, frozen=True, dict=True):
    """A message that was received; `raw` are its bytes as they came.

    `text` and `html` are the bodies that a reader sees, "" for none. `attached_messages` are the
    bytes of each message attached to it, not those inside another. `calendar_method` is the METHOD
    of an invitation, `report_type` that of a delivery or read report, both lower case, "" for none.
    """

    raw: bytes
    fields: tuple[tuple[str, str], ...]
    text: str
    html: str
    attachments: tuple[Attachment, ...]
    attached_messages: tuple[bytes, ...]
    content_type: str
    calendar_method: str
    report_type: str

    def headers(self, name: str) -> tuple[str, ...]:
        """All values of a field in the order of appearance, unfolded and decoded."""
        wanted = name.lower()
        values = (value for key, value in self.fields if key == wanted)
        return tuple(values if wanted in _NEVER_ENCODED else map(headers.decode_words, values))

    def header(self, name: str) -> str:
        """The first value of a field; "" where there is none."""
        return next(iter(self.headers(name)), "")

    def addresses(self, name: str) -> tuple[Address, ...]:
        """The addresses of all fields of this name; those without an address are left out."""
        found: list[Address] = []
        for key, value in self.fields:
            if key == name.lower():
                found += _addresses(value)
        return tuple(found[: address_lists.MAX_ADDRESSES])

    @property
    def subject(self) -> str:
        return " ".join(self.header("subject").split())

    @property
    def message_id(self) -> str:
        """As sent, with its angle brackets; "" for none."""
        value = self.header("message-id")
        match = _MESSAGE_ID.search(value)
        return match.group() if match else value

    @property
    def in_reply_to(self) -> str:
        return next(iter(_message_ids(self.header("in-reply-to"))), "")

    @property
    def references(self) -> tuple[str, ...]:
        return _message_ids(self.header("references"))

    @property
    def date(self) -> datetime | None:
        """When it says it was sent, UTC; None where that is missing or impossible."""
        date, _ = self.written_date
        return date.astimezone(UTC) if date else None

    @property
    def written_date(self) -> tuple[datetime | None, bool]:
        """The same in the zone of its Date header, and whether that names one (else it is UTC)."""
        return headers.parse_date(self.header("date"))


def read(raw: bytes) -> Received:
    """The message in these bytes; see the module for what is capped and what is mended."""
    data = raw.lstrip(b"\xef\xbb\xbf\r\n")
    if b"\n" not in data:
        data = data.replace(b"\r", b"\n")
    root = _Part(data)
    reader = _Reader()
    reader.read(root)
    text, html = reader.bodies()
    return Received(
        raw=raw,
        fields=root.fields,
        text=text,
        html=html,
        attachments=tuple(reader.attachments),
        attached_messages=tuple(reader.attached_messages),
        content_type=root.content_type,
        calendar_method=reader.calendar_method,
        report_type=root.parameters.get("report-type", "").lower(),
    )


def _addresses(value: str) -> tuple[Address, ...]:
    found = _with_address(address_lists.parse(value, decode=headers.decode_words))
    if not found and "=?" in value:  # some programs encode the address as well
        found = _with_address(address_lists.parse(headers.decode_words(value)))
    return found


def _with_address(addresses: tuple[Address, ...]) -> tuple[Address, ...]:
    return tuple(address for address in addresses if address.address)


def _message_ids(value: str) -> tuple[str, ...]:
    return tuple(_MESSAGE_ID.findall(value) or value.split())[:_MAX_REFERENCES]


class _Part:
    """One part of a message: its fields and its undecoded body."""

    def __init__(self, data: bytes, *, default_type: str = "text/plain") -> None:
        block, self.body = headers.split(data)
        self.fields = headers.fields(block)
        written, self.parameters = headers.parameters(self._field("content-type"))
        self.content_type = written if written.count("/") == 1 else default_type
        self.disposition, placing = headers.parameters(self._field("content-disposition"))
        self.filename = _file_name(placing.get("filename") or self.parameters.get("name", ""))

    def _field(self, name: str) -> str:
        return next((value for key, value in self.fields if key == name), "")

    @property
    def is_multipart(self) -> bool:
        return self.content_type.startswith("multipart/")

    @property
    def has_content_id(self) -> bool:
        return bool(self._field("content-id"))

    @cached_property
    def content(self) -> bytes:
        """The body without its transfer encoding."""
        encoding = self._field("content-transfer-encoding").partition(";")[0].strip().lower()
        if encoding == "base64":
            return headers.decode_base64(self.body)
        if encoding == "quoted-printable":
            return binascii.a2b_qp(self.body)
        return self.body

    def text(self) -> str:
        text = decode(self.content[:MAX_TEXT_BYTES], self.parameters.get("charset", ""))
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def children(self) -> "Iterator[_Part]":
        inside = "message/rfc822" if self.content_type == "multipart/digest" else "text/plain"
        for data in _split(self.body, self.parameters.get("boundary", "")):
            yield _Part(data, default_type=inside)


def _split(body: bytes, boundary: str) -> Iterator[bytes]:
    """The parts of a multipart body; none where its boundary occurs nowhere.

    The line end before a boundary belongs to it (RFC 2046, 5.1.1). An unclosed last part counts.
    """
    delimiter = b"--" + boundary.encode("utf-8", "replace")
    if not boundary or delimiter not in body:
        match = _GUESSED_BOUNDARY.search(body)
        if not match:
            return
        delimiter = b"--" + match.group(1)
    body = b"\n" + body
    mark = b"\n" + delimiter
    start: int | None = None
    position = 0
    while (found := body.find(mark, position)) >= 0:
        position = found + len(mark)
        line_end = body.find(b"\n", position)
        rest = body[position : line_end if line_end >= 0 else len(body)].strip()
        if rest not in (b"", b"--"):
            continue  # a longer boundary that begins alike
        if start is not None:
            yield body[start:found].removesuffix(b"\r")
        if rest == b"--" or line_end < 0:
            return
        # The line end is looked at again: it may begin the next boundary.
        start, position = line_end + 1, line_end
    if start is not None:
        yield body[start:]


def _file_name(name: str) -> str:
    """A name to show: the last part of a path, without control characters."""
    name = name.replace("\\", "/").rpartition("/")[2]
    return "".join(c for c in name if c.isprintable()).strip()[:255]


class _Reader:
    """Walks the parts in order and sorts them: bodies, attachments, attached messages."""

    def __init__(self) -> None:
        self.attachments: list[Attachment] = []
        self.attached_messages: list[bytes] = []
        self.calendar_method = ""
        self._texts: dict[str, list[str]] = {"text/plain": [], "text/html": []}
        self._named: list[_Part] = []
        self._room = {"text/plain": MAX_TEXT_BYTES, "text/html": MAX_TEXT_BYTES}

    def read(self, root: _Part) -> None:
        # Each entry: a part, how deep it lies.
        waiting = [(root, 0)]
        for _ in range(MAX_PARTS):
            if not waiting:
                return
            part, depth = waiting.pop()
            children: list[_Part] = []
            if part.is_multipart and depth < MAX_DEPTH:
                for child in part.children():
                    children.append(child)
                    if len(children) >= MAX_PARTS:
                        break
            if children:
                waiting += [(child, depth + 1) for child in reversed(children)]
            else:
                self._sort(part)

    def bodies(self) -> tuple[str, str]:
        """Plain text and HTML. A text with a file name is the body only where nothing else is."""
        if not any(self._texts.values()):
            for part in self._named[:1]:
                self._add_text(part)
        text, html = ("\n".join(self._texts[kind]) for kind in ("text/plain", "text/html"))
        if text and not html and _IS_HTML.match(text[:_MAX_LOOKED_AT]):
            return "", text  # declared as plain text by mistake
        return text, html

    def _sort(self, part: _Part) -> None:
        if part.content_type == "text/calendar":
            self.calendar_method = self.calendar_method or _calendar_method(part)
        if part.content_type in _MESSAGE_TYPES or part.filename.lower().endswith(".eml"):
            self._add_message(part)
        elif part.disposition != "attachment" and _is_body(part):
            if part.filename:
                self._named.append(part)
                self._add_attachment(part)
            else:
                self._add_text(part)
        elif part.filename or part.disposition or not part.content_type.startswith("text/"):
            self._add_attachment(part)

    def _add_text(self, part: _Part) -> None:
        kind = "text/html" if part.content_type == "text/html" else "text/plain"
        text = part.text()[: self._room[kind]]
        self._room[kind] -= len(text)
        self._texts[kind].append(text)

    def _add_attachment(self, part: _Part, content: bytes | None = None, name: str = "") -> None:
        is_inline = part.disposition == "inline" or (not part.disposition and part.has_content_id)
        self.attachments.append(
            Attachment(
                name=part.filename or name,
                content_type=part.content_type,
                size=len(part.content if content is None else content),
                is_inline=is_inline,
            )
        )

    def _add_message(self, part: _Part) -> None:
        content = _message_in(part)
        self._add_attachment(part, content, name="message.eml")
        if content and len(self.attached_messages) < MAX_ATTACHED_MESSAGES:
            self.attached_messages.append(content)


def _is_body(part: _Part) -> bool:
    # A multipart that could not be taken apart is read as the text that it is.
    return part.content_type in {"text/plain", "text/html"} or part.is_multipart


def _message_in(part: _Part) -> bytes:
    """The bytes of an attached message, whatever encoding it has or only claims to have."""
    for content in (part.content, part.body.lstrip(), headers.decode_base64(part.body)):
        block, _ = headers.split(content)
        if block.strip():
            return content
    return b""


def _calendar_method(part: _Part) -> str:
    written = part.parameters.get("method", "")
    if not written:
        match = re.search(rb"^METHOD:([A-Za-z-]{1,40})", part.content[:10_000], re.MULTILINE)
        written = match.group(1).decode("ascii") if match else ""
    return written.lower()
