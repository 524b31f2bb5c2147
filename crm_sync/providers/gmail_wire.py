"""From Gmail's JSON to our types: pure functions over bytes (contract sheet §4, §5).

Only what we need is declared; the decoder skips the rest, the snippet above all.
"""

import binascii
import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from crm_sync.providers.errors import PermanentError
from crm_sync.providers.gmail_errors import GMAIL, unreadable
from crm_sync.providers.transport import Service, not_json
from crm_sync.providers.types import IntakeMessage, IntakePage, IntakeProfile

#: Never read: what is no mail (yet), and what was thrown away.
_HIDDEN: Final = frozenset({"DRAFT", "SPAM", "TRASH", "CHAT"})


class _Wire(Struct, rename="camel"):
    """Lists that would be empty are left out by Gmail, and ids of the history come as text."""


class _Profile(_Wire):
    email_address: str | None = None
    history_id: str | int | None = None


class _Message(_Wire):
    id: str
    label_ids: list[str] | None = None


class _Messages(_Wire):
    messages: list[_Message] | None = None
    next_page_token: str | None = None


class _Added(_Wire):
    message: _Message


class _LabelsRemoved(_Wire):
    message: _Message
    label_ids: list[str] | None = None


class _Record(_Wire):
    messages_added: list[_Added] | None = None
    labels_removed: list[_LabelsRemoved] | None = None


class _History(_Wire):
    history: list[_Record] | None = None
    next_page_token: str | None = None
    history_id: str | int | None = None


class _RawMessage(_Wire):
    id: str | None = None
    thread_id: str | None = None
    label_ids: list[str] | None = None
    internal_date: str | int | None = None
    raw: str | None = None


class _Label(_Wire):
    id: str
    name: str = ""
    type: str | None = None


class _Labels(_Wire):
    labels: list[_Label] | None = None


# --- answers -------------------------------------------------------------------------------------
# All raise TransientError “not-json” for what is no JSON, or broke off, and UnexpectedAnswer for
# JSON of another form.


def read_profile(content: bytes) -> IntakeProfile:
    wire = _decoded(content, _Profile)
    if not wire.email_address:
        raise unreadable(GMAIL)
    return IntakeProfile(wire.email_address, _text(wire.history_id))


def read_messages(content: bytes) -> IntakePage:
    wire = _decoded(content, _Messages)
    ids = (message.id for message in wire.messages or ())
    return IntakePage(_each_once(ids), wire.next_page_token or None)


def read_history(content: bytes) -> IntakePage:
    """Messages that came, and those that came out of Spam, Trash or Drafts.

    Labels are often not said (contract sheet §5): whoever reads a message must look again.
    """
    wire = _decoded(content, _History)
    ids: list[str] = []
    for record in wire.history or ():
        for added in record.messages_added or ():
            if _HIDDEN.isdisjoint(added.message.label_ids or ()):
                ids.append(added.message.id)
        for removal in record.labels_removed or ():
            is_hidden = not _HIDDEN.isdisjoint(removal.message.label_ids or ())
            if not is_hidden and not _HIDDEN.isdisjoint(removal.label_ids or ()):
                ids.append(removal.message.id)
    return IntakePage(_each_once(ids), wire.next_page_token or None, _text(wire.history_id))


def read_message(content: bytes, message_id: str) -> IntakeMessage:
    """`message_id` stands in where the answer does not repeat it.

    Raises PermanentError “unreadable-message” where only this message has an unknown form.
    """
    wire = _decoded(content, _RawMessage)
    return IntakeMessage(
        id=wire.id or message_id,
        thread_id=wire.thread_id or "",
        label_ids=tuple(wire.label_ids or ()),
        received_at=_moment(wire.internal_date),
        raw=_raw(wire.raw),
    )


def read_labels(content: bytes) -> list[tuple[str, str, bool]]:
    """Id, name and whether it is one of Gmail's own, of each label."""
    wire = _decoded(content, _Labels)
    return [(label.id, label.name, label.type == "system") for label in wire.labels or ()]


def read_new_label(content: bytes) -> str:
    return _decoded(content, _Label).id


# --- values --------------------------------------------------------------------------------------


def _raw(text: str | None) -> bytes:
    """Without padding or with it, in either alphabet (contract sheet §4, §7)."""
    try:
        if not text:
            raise ValueError
        standard = text.rstrip("=\r\n").replace("-", "+").replace("_", "/")
        return binascii.a2b_base64(standard + "=" * (-len(standard) % 4), strict_mode=True)
    except (ValueError, binascii.Error):
        raise PermanentError(
            "Gmail sent this message in a form that could not be read.", code="unreadable-message"
        ) from None


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _moment(milliseconds: str | int | None) -> datetime | None:
    try:
        return _EPOCH + timedelta(milliseconds=int(milliseconds or ""))
    except (ValueError, OverflowError):
        return None


def _text(number: str | int | None) -> str:
    return "" if number is None else str(number)


def _each_once(ids: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(ids))


# --- JSON ----------------------------------------------------------------------------------------

_T = TypeVar("_T")


def _decoded(content: bytes, shape: type[_T], service: Service = GMAIL) -> _T:
    try:
        return msgspec.json.decode(content, type=shape)
    except msgspec.ValidationError:
        raise unreadable(service) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    # The tolerant way: a lone surrogate in a text that nobody reads must not cost the answer.
    try:
        return msgspec.convert(json.loads(content), shape)
    except msgspec.ValidationError:
        raise unreadable(service) from None
    except (ValueError, RecursionError):
        raise not_json(service) from None


def require_json_object(content: bytes, service: Service) -> None:
    """Raises as all of the above, for an answer that somebody else takes apart."""
    _decoded(content, dict[str, Any], service)
