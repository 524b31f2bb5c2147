"""From Nylas's JSON to our types: pure functions over bytes (contract sheet §4, §10).

The quick way decodes a whole answer at once, straight into the structs below. Whatever that
refuses (one odd item, a lone surrogate, a NUL, NaN) goes the tolerant way: plain `json`, every
text cleaned, then item by item, so that one odd item costs only itself.

Fields that are not declared here, `body` and `snippet` of a listing above all, are skipped by the
decoder and never become Python text (design, invariant 3).
"""

import ast
import json
import math
import re
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct, field

from crm_sync.providers.errors import PermanentError, UnexpectedAnswer
from crm_sync.providers.nylas_errors import not_json
from crm_sync.providers.types import (
    Address,
    Attachment,
    Folder,
    FolderRole,
    Message,
    MessageHeaders,
    MessagePage,
    UnreadableMessage,
    Webhook,
)

#: A longer text is cut, so that one message cannot fill a worker's memory or a database row.
LONGEST_BODY: Final = 8_000_000

# --- the wire's own shapes -----------------------------------------------------------------------
# Only what we need, and as liberal as real servers are: nearly everything may be null, addresses
# may be bare texts, folders may be objects.


class WireAddress(Struct, gc=False):
    email: str | None = None
    name: str | None = None


class WireHeader(Struct, gc=False):
    name: str | None = None
    value: str | None = None


class WireFolderRef(Struct, gc=False):
    id: str | None = None


WireAddresses = list[WireAddress | str | None] | None


class WireHeaders(Struct):
    id: str | None = None
    thread_id: str | None = None
    date: Any = None
    subject: str | None = None
    from_: WireAddresses = field(default=None, name="from")
    to: WireAddresses = None
    cc: WireAddresses = None
    bcc: WireAddresses = None
    folders: list[WireFolderRef | str | None] | None = None
    headers: list[WireHeader | None] | None = None
    object: str | None = None


class WireAttachment(Struct, gc=False):
    filename: str | None = None
    content_type: str | None = None
    size: Any = None
    is_inline: bool | None = None


class WireMessage(WireHeaders):
    body: str | None = None
    attachments: list[WireAttachment | None] | None = None


class WireFolder(Struct):
    id: str
    name: str | None = None
    attributes: Any = None
    total_count: Any = None


class WireWebhook(Struct):
    id: str = ""
    webhook_url: str | None = None
    trigger_types: list[Any] | None = None
    status: str | None = None
    webhook_secret: str | None = None


class _Page(Struct):
    data: list[WireHeaders]
    next_cursor: str | None = None


class _LoosePage(Struct):
    data: list[Any]
    next_cursor: str | None = None


class _One(Struct):
    data: WireMessage


class _OneHeaders(Struct):
    data: WireHeaders


class _LooseOne(Struct):
    data: dict[str, Any]


class _Folders(Struct):
    data: list[WireFolder]
    next_cursor: str | None = None


class _Webhooks(Struct):
    data: list[WireWebhook]
    next_cursor: str | None = None


class _OneWebhook(Struct):
    data: WireWebhook


_PAGE = msgspec.json.Decoder(_Page)
_ONE = msgspec.json.Decoder(_One)
_ONE_HEADERS = msgspec.json.Decoder(_OneHeaders)

# --- answers -------------------------------------------------------------------------------------


def read_page(content: bytes) -> MessagePage:
    """Raises TransientError “not-json” and, for JSON without a `data` list, UnexpectedAnswer."""
    if not _may_hold_nul(content):
        try:
            page = _PAGE.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
        else:
            return _page(page.data, (), page.next_cursor)
    loose = shaped(read_json(content), _LoosePage)
    readable: list[WireHeaders] = []
    unreadable: list[UnreadableMessage] = []
    for item in loose.data:
        try:
            readable.append(msgspec.convert(item, WireHeaders))
        except msgspec.ValidationError as error:
            unreadable.append(UnreadableMessage(_id_of(item), _cause(error)))
    return _page(readable, unreadable, loose.next_cursor)


def _page(
    items: Iterable[WireHeaders], unreadable: Iterable[UnreadableMessage], cursor: str | None
) -> MessagePage:
    without_id = UnreadableMessage("", "Nylas sent a message without an id.")
    messages: list[MessageHeaders] = []
    refused = list(unreadable)
    for item in items:
        if item.id:
            messages.append(message_headers(item, item.id))
        else:
            refused.append(without_id)
    return MessagePage(tuple(messages), tuple(refused), cursor or None)


def read_message(content: bytes, message_id: str) -> Message:
    """`message_id` stands in where the answer does not repeat it.

    Raises TransientError “not-json”, UnexpectedAnswer for JSON without a message, and
    PermanentError “unreadable-message” where only this message has an unknown form.
    """
    wire: WireMessage | None = None
    if not _may_hold_nul(content):
        try:
            wire = _ONE.decode(content).data
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
    wire = wire or _tolerantly(content, WireMessage)
    headers = message_headers(wire, wire.id or message_id)
    body = wire.body or ""
    is_html = looks_like_html(body)
    attachments = tuple(_attachment(part) for part in wire.attachments or () if part)
    return Message(headers, cut_body(body, is_html=is_html), is_html, attachments)


def read_headers(content: bytes, message_id: str) -> MessageHeaders:
    """One message without its text, which is not even decoded. Raises as `read_message` does."""
    wire: WireHeaders | None = None
    if not _may_hold_nul(content):
        try:
            wire = _ONE_HEADERS.decode(content).data
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
    wire = wire or _tolerantly(content, WireHeaders)
    return message_headers(wire, wire.id or message_id)


_WireT = TypeVar("_WireT", bound=WireHeaders)


def _tolerantly(content: bytes, shape: type[_WireT]) -> _WireT:
    loose = shaped(read_json(content), _LooseOne)
    try:
        return msgspec.convert(loose.data, shape)
    except msgspec.ValidationError as error:
        raise PermanentError(_cause(error), code="unreadable-message") from None


def read_folders(content: bytes) -> tuple[list[Folder], str | None]:
    """One page of folders and the next cursor, None on the last page.

    A folder without an id is refused with the whole page: a listing that lost one would pass for
    complete, and a folder would seem to be missing from the mailbox.
    """
    page = shaped(read_json(content), _Folders)
    folders = [
        Folder(
            wire.id,
            wire.name or "",
            folder_role(wire.attributes),
            wire.total_count if type(wire.total_count) is int else None,
        )
        for wire in page.data
    ]
    return folders, page.next_cursor or None


def read_webhooks(content: bytes, *, wanted: Collection[str]) -> tuple[list[Webhook], str | None]:
    """One page of webhooks and the next cursor. `wanted` are the triggers that we listen to."""
    page = shaped(read_json(content), _Webhooks)
    return [_webhook(wire, wanted) for wire in page.data], page.next_cursor or None


def read_webhook(content: bytes, *, wanted: Collection[str]) -> tuple[Webhook, str]:
    """One webhook, and its secret where the answer tells it: when it is made or rotated."""
    wire = shaped(read_json(content), _OneWebhook).data
    return _webhook(wire, wanted), wire.webhook_secret or ""


def _webhook(wire: WireWebhook, wanted: Collection[str]) -> Webhook:
    triggers = {name for name in wire.trigger_types or () if isinstance(name, str)}
    return Webhook(
        wire.id,
        wire.webhook_url or "",
        wire.status or "active",
        is_complete=triggers.issuperset(wanted),
    )


# --- values --------------------------------------------------------------------------------------


def message_headers(wire: WireHeaders, message_id: str) -> MessageHeaders:
    # An empty list is an answer (“it has none of these headers”); no list at all is not.
    has_headers = wire.headers is not None
    rfc_id, in_reply_to, references = _threading(wire.headers) if wire.headers else ("", "", ())
    return MessageHeaders(
        id=message_id,
        thread_id=wire.thread_id or "",
        folder_ids=_folder_ids(wire.folders) if wire.folders else (),
        received_at=moment(wire.date),
        subject=wire.subject or "",
        from_=_addresses(wire.from_) if wire.from_ else (),
        to=_addresses(wire.to) if wire.to else (),
        cc=_addresses(wire.cc) if wire.cc else (),
        bcc=_addresses(wire.bcc) if wire.bcc else (),
        has_headers=has_headers,
        message_id=rfc_id,
        in_reply_to=in_reply_to,
        references=references,
        is_draft=wire.object == "draft",
    )


def _addresses(entries: list[WireAddress | str | None]) -> tuple[Address, ...]:
    # “Undisclosed recipients” comes as a name without an address (contract sheet §4): nobody.
    found = []
    for entry in entries:
        if isinstance(entry, WireAddress):
            if entry.email and not entry.email.isspace():
                found.append(Address(entry.email, entry.name or ""))
        elif entry and not entry.isspace():
            found.append(Address(entry))
    return tuple(found)


def _folder_ids(entries: list[WireFolderRef | str | None]) -> tuple[str, ...]:
    ids = [entry.id if isinstance(entry, WireFolderRef) else entry for entry in entries]
    return tuple([id_ for id_ in ids if id_])


_MESSAGE_ID = re.compile(r"<[^<>]+>")


def _threading(headers: list[WireHeader | None]) -> tuple[str, str, tuple[str, ...]]:
    """Message-ID, In-Reply-To and References; the first of each that says anything counts."""
    rfc_id = in_reply_to = references = ""
    for header in headers:
        if header is None or not header.name or not header.value:
            continue
        name = header.name.lower()
        if name == "message-id":
            rfc_id = rfc_id or header.value.strip()
        elif name == "in-reply-to":
            in_reply_to = in_reply_to or header.value.strip()
        elif name == "references":
            references = references or header.value.strip()
    return rfc_id, in_reply_to, split_references(references) if references else ()


def split_references(value: str) -> tuple[str, ...]:
    """The ids of a References header, also where no blank stands between them."""
    return tuple(_MESSAGE_ID.findall(value) or value.split())


#: Later is a mistake (milliseconds, above all), and would overflow in some time zone.
_LATEST: Final = datetime(3000, 1, 1, tzinfo=UTC).timestamp()


_NUMERIC: Final = (int, float, str)


def moment(value: Any) -> datetime | None:
    """Epoch seconds as number or numeric text; None for anything that is no possible date."""
    if type(value) not in _NUMERIC:  # Not isinstance: a bool is an int too.
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    # NaN compares false with everything, so it ends here too.
    return datetime.fromtimestamp(seconds, UTC) if 0 <= seconds < _LATEST else None


_ROLES: Final[dict[str, FolderRole]] = {
    "inbox": "inbox",
    "sent": "sent",
    "drafts": "drafts",
    "trash": "trash",
    "junk": "junk",
    "archive": "archive",
}


def folder_role(attributes: object) -> FolderRole:
    """The role among a folder's attributes: a list, or null, or the text the SDK makes of a list.

    The SDK turns `["\\Sent"]` into the text `['\\\\Sent']` (contract sheet §10, pitfall 3).
    """
    if isinstance(attributes, str):
        try:
            attributes = ast.literal_eval(attributes)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            attributes = [attributes]
    if not isinstance(attributes, list | tuple):
        return ""
    for attribute in attributes:
        if isinstance(attribute, str):
            role = _ROLES.get(attribute.strip().lstrip("\\").lower())
            if role:
                return role
    return ""


def _attachment(wire: WireAttachment) -> Attachment:
    size = wire.size
    if isinstance(size, bool) or not isinstance(size, int | float) or not 0 <= size < math.inf:
        size = 0
    return Attachment(
        wire.filename or "", wire.content_type or "", int(size), is_inline=bool(wire.is_inline)
    )


# Elements that mail programs write. A list, because text holds angle brackets as well:
# “<ann@example.com>”, “<https://…>”, “a <your name> b”.
_TAG = re.compile(
    r"<(?:!doctype\b|!--|/?(?:html|head|body|meta|style|title|div|span|p|br|hr|a|b|i|u|s|em|strong"
    r"|font|center|table|tbody|thead|tr|td|th|ul|ol|li|dl|dt|dd|img|pre|code|tt|blockquote|h[1-6]"
    r"|small|big|sub|sup|section|article|header|footer|main|o:p)(?=[\s/>]))[^<>]*>",
    re.IGNORECASE,
)


def looks_like_html(body: str) -> bool:
    """Nylas gives HTML where a message has both, and does not say which it gave."""
    return _TAG.search(body) is not None


def cut_body(body: str, *, is_html: bool, longest: int = LONGEST_BODY) -> str:
    """The body, or its first `longest` characters and a line that says so to the reader."""
    if len(body) <= longest:
        return body
    kept = body[:longest]
    note = "[This message is too long to be shown in full.]"
    if not is_html:
        return f"{kept}\n\n{note}"
    if kept.rfind("<") > kept.rfind(">"):
        kept = kept[: kept.rfind("<")]  # Half a tag would swallow the note.
    return f"{kept}<p>{note}</p>"


# --- the tolerant way ----------------------------------------------------------------------------


def read_json(content: bytes) -> Any:
    """Any JSON with its texts fit to be stored: no NUL (PostgreSQL refuses it), no lone surrogate.

    Raises TransientError “not-json” for HTML, nothing at all and an answer that broke off.
    """
    if not _may_hold_nul(content):
        try:
            return msgspec.json.decode(content)  # It refuses lone surrogates.
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
    try:
        text = content.decode("utf-8-sig", "replace")
        return _clean(json.loads(text, strict=False, parse_int=_integer))
    except ValueError:
        raise not_json() from None
    except RecursionError:
        raise UnexpectedAnswer("Nylas sent an answer nested too deeply to be read.") from None


def _integer(digits: str) -> int | float:
    # int() refuses more than 4,300 digits with a ValueError, which would cost the whole page.
    return int(digits) if len(digits) < 100 else float(digits)


_UNFIT = re.compile("[\x00\ud800-\udfff]")


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {clean_text(key): _clean(item) for key, item in value.items()}
    return value


def clean_text(text: str) -> str:
    return _UNFIT.sub(lambda found: "" if found[0] == "\x00" else "\ufffd", text)


def _may_hold_nul(content: bytes) -> bool:
    # A NUL can be nothing but this escape: JSON forbids the bare byte and msgspec refuses it.
    return b"\\u0000" in content


_T = TypeVar("_T")


def shaped(value: Any, shape: type[_T]) -> _T:
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError:
        raise UnexpectedAnswer(
            "Nylas answered, but not in the form we know. If this does not pass, check the "
            "address in NYLAS_API_URI."
        ) from None


def _cause(error: msgspec.ValidationError) -> str:
    # msgspec names types and places, never values.
    return f"Nylas sent this message in a form we do not know: {error}."


def _id_of(item: object) -> str:
    found = item.get("id") if isinstance(item, dict) else None
    return str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""
