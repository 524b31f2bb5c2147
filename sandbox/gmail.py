"""The Gmail methods: messages, attachments, history, labels, profile."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

import msgspec
from starlette.routing import Route

from sandbox import gmail_rendering, gmail_search
from sandbox.gmail_mailbox import HIDDEN, NOT_APPLICABLE, Key, Label, Message, Record
from sandbox.gmail_rendering import base64url, short
from sandbox.google_errors import GoogleError, invalid, not_found, unreadable
from sandbox.google_routing import (
    MAY_CHANGE,
    MAY_LIST,
    MAY_MAKE_LABELS,
    MAY_READ,
    MAY_SEE_LABELS,
    GmailCall,
    Parameter,
    boolean,
    gmail,
    one_of,
    text,
    uint32,
    uint64,
)

DEFAULT_RESULTS, MOST_RESULTS = 100, 500
MOST_LABELS, MOST_IDS = 100, 1_000
LONGEST_LABEL = 225
# What Gmail says when there are more than fit on a page; it does not count them.
MORE_ESTIMATE = 201

# --- messages -------------------------------------------------------------------------------------


def _page_size(call: GmailCall) -> int:
    size = int(call.params.get("maxResults", 0)) or DEFAULT_RESULTS
    if size > MOST_RESULTS:
        raise invalid(f"Invalid maxResults: the maximum is {MOST_RESULTS}")
    return size


def _page_token(parts: tuple[int, ...]) -> str:
    inner = "/".join(str(part) for part in parts).encode()
    return base64.urlsafe_b64encode(inner).decode()


def _read_page_token(call: GmailCall, length: int) -> tuple[int, ...] | None:
    token = call.params.get("pageToken")
    if not token:
        return None
    try:
        parts = tuple(int(part) for part in base64.urlsafe_b64decode(token).decode().split("/"))
    except (binascii.Error, ValueError) as error:
        raise invalid("Invalid pageToken") from error
    if len(parts) != length:
        raise invalid("Invalid pageToken")
    return parts


def list_messages(call: GmailCall) -> dict[str, Any]:
    params, mailbox = call.params, call.mailbox
    query = params.get("q", "")
    if query and not MAY_READ & call.access.scopes:
        raise GoogleError(403, "forbidden", "Metadata scope does not support 'q' parameter")
    labels = frozenset(params.get("labelIds", ()))
    for label in labels:
        _known_label(call, label)
    search = gmail_search.read(mailbox, query, call.sandbox.now())
    shows_hidden = params.get("includeSpamTrash") or search.includes_hidden or labels & HIDDEN
    size, token = _page_size(call), _read_page_token(call, 2)
    behind: Key | None = (token[0], token[1]) if token else None
    page: list[Message] = []
    for message in mailbox.walk(behind):
        if not labels.issubset(message.labels):
            continue
        if not shows_hidden and not HIDDEN.isdisjoint(message.labels):
            continue
        if query and not search.matches(message):
            continue
        if len(page) == size:
            last = page[-1]
            return {
                "messages": [short(message) for message in page],
                "nextPageToken": _page_token((-last.at, -last.number)),
                "resultSizeEstimate": MORE_ESTIMATE,
            }
        page.append(message)
    answer: dict[str, Any] = {"resultSizeEstimate": len(page)}
    return {"messages": [short(message) for message in page], **answer} if page else answer


def _found(call: GmailCall, wanted: str) -> Message:
    if not re.fullmatch(r"[0-9a-f]{1,16}", wanted):
        raise invalid("Invalid id value")
    message = call.mailbox.messages.get(wanted)
    if message is None:
        raise not_found()
    return message


def get_message(call: GmailCall) -> dict[str, Any]:
    kind = call.params.get("format", "full")
    if kind in ("full", "raw") and not MAY_READ & call.access.scopes:
        raise GoogleError(403, "forbidden", f"Metadata scope doesn't allow format {kind.upper()}")
    return gmail_rendering.written(
        call.mailbox,
        _found(call, call.path("id")),
        kind,
        padding=call.google.settings.padding,
        wanted_headers=call.params.get("metadataHeaders"),
    )


def get_attachment(call: GmailCall) -> dict[str, Any]:
    message = _found(call, call.path("messageId"))
    content = gmail_rendering.attachment_of(call.mailbox, message, call.path("id"))
    if content is None:
        raise invalid("Invalid attachment token")
    return {
        "size": len(content),
        "data": base64url(content, padding=call.google.settings.padding),
    }


class Modify(msgspec.Struct, forbid_unknown_fields=True):
    addLabelIds: list[str] = []
    removeLabelIds: list[str] = []


class BatchModify(Modify):
    ids: list[str] = []


def _known_label(call: GmailCall, label: str) -> None:
    if label not in call.mailbox.labels:
        raise invalid(f"Invalid label: {label}")


def _check_labels(call: GmailCall, wish: Modify) -> None:
    for labels in (wish.addLabelIds, wish.removeLabelIds):
        if len(labels) > MOST_LABELS:
            raise invalid(f"Too many labels: at most {MOST_LABELS} each way")
        for label in labels:
            _known_label(call, label)
            if label in NOT_APPLICABLE:
                raise invalid(f"Invalid label: {label}")
    if not wish.addLabelIds and not wish.removeLabelIds:
        raise invalid("No label add or removes specified")
    if set(wish.addLabelIds) & set(wish.removeLabelIds):
        raise invalid("Cannot both add and remove the same label")


def modify(call: GmailCall) -> dict[str, Any]:
    message, wish = _found(call, call.path("id")), call.read(Modify)
    _check_labels(call, wish)
    call.commit("gmail-labels", ids=[message.id], add=wish.addLabelIds, remove=wish.removeLabelIds)
    return {**short(message), "labelIds": list(message.labels)}


def batch_modify(call: GmailCall) -> None:
    wish = call.read(BatchModify)
    if not wish.ids:
        raise invalid("No message ids specified")
    if len(wish.ids) > MOST_IDS:
        raise invalid(f"Too many ids: at most {MOST_IDS}")
    _check_labels(call, wish)
    call.commit("gmail-labels", ids=wish.ids, add=wish.addLabelIds, remove=wish.removeLabelIds)


# --- history --------------------------------------------------------------------------------------

HISTORY_TYPES = ("messageAdded", "messageDeleted", "labelAdded", "labelRemoved")
_PLURALS = {
    "messageAdded": "messagesAdded",
    "messageDeleted": "messagesDeleted",
    "labelAdded": "labelsAdded",
    "labelRemoved": "labelsRemoved",
}


def list_history(call: GmailCall) -> dict[str, Any]:
    params, mailbox = call.params, call.mailbox
    start = params.get("startHistoryId")
    if start is None:
        raise unreadable("Missing required field: startHistoryId", "start_history_id")
    if not mailbox.oldest_start <= start <= mailbox.history_id:
        raise not_found()
    if label := params.get("labelId"):
        _known_label(call, label)
    size, token = _page_size(call), _read_page_token(call, 1)
    page: list[Record] = []
    answer: dict[str, Any] = {}
    for record in mailbox.history_after(token[0] if token else start):
        if params.get("historyTypes") and record.kind not in params["historyTypes"]:
            continue
        if label and label not in record.labels and label not in record.changed:
            continue
        if len(page) == size:
            answer["nextPageToken"] = _page_token((page[-1].id,))
            break
        page.append(record)
    if page:
        answer["history"] = [_history(record) for record in page]
    return {**answer, "historyId": str(mailbox.history_id)}


def _history(record: Record) -> dict[str, Any]:
    message = {"id": record.message_id, "threadId": record.thread_id}
    entry: dict[str, Any] = {"message": {**message, "labelIds": list(record.labels)}}
    if record.changed:
        entry["labelIds"] = list(record.changed)
    return {"id": str(record.id), "messages": [message], _PLURALS[record.kind]: [entry]}


# --- labels and profile ---------------------------------------------------------------------------


def list_labels(call: GmailCall) -> dict[str, Any]:
    return {"labels": [msgspec.to_builtins(label) for label in call.mailbox.labels.values()]}


def get_label(call: GmailCall) -> dict[str, Any]:
    label = call.mailbox.labels.get(call.path("id"))
    if label is None:
        raise not_found()
    members = [m for m in call.mailbox.messages.values() if label.id in m.labels]
    unread = [m for m in members if "UNREAD" in m.labels]
    return {
        **msgspec.to_builtins(label),
        "messagesTotal": len(members),
        "messagesUnread": len(unread),
        "threadsTotal": call.mailbox.threads(members),
        "threadsUnread": call.mailbox.threads(unread),
    }


class NewLabel(msgspec.Struct, forbid_unknown_fields=True):
    name: str = ""
    messageListVisibility: str = "show"
    labelListVisibility: str = "labelShow"
    color: dict[str, str] | None = None
    # Read-only fields of a label, which a client may send back.
    id: str = ""
    type: str = ""
    messagesTotal: int = 0
    messagesUnread: int = 0
    threadsTotal: int = 0
    threadsUnread: int = 0


def create_label(call: GmailCall) -> dict[str, Any]:
    wish = call.read(NewLabel)
    name = wish.name.strip()
    if wish.messageListVisibility not in ("show", "hide"):
        raise invalid("Invalid messageListVisibility")
    if wish.labelListVisibility not in ("labelShow", "labelShowIfUnread", "labelHide"):
        raise invalid("Invalid labelListVisibility")
    taken = {label.name.casefold(): label for label in call.mailbox.labels.values()}
    existing = taken.get(name.casefold())
    if not name or len(name) > LONGEST_LABEL or (existing and existing.type == "system"):
        raise invalid("Invalid label name")
    if existing:
        raise GoogleError(409, "aborted", "Label name exists or conflicts")
    label = Label(
        call.mailbox.new_label_id(), name, wish.messageListVisibility, wish.labelListVisibility,
        wish.color, "user",
    )  # fmt: skip
    data: dict[str, Any] = msgspec.to_builtins(label)
    call.commit("gmail-label", label=data)
    # The answer to a creation leaves the type out.
    return {field: value for field, value in data.items() if field != "type"}


def get_profile(call: GmailCall) -> dict[str, Any]:
    mailbox = call.mailbox
    return {
        "emailAddress": mailbox.account,
        "messagesTotal": len(mailbox.messages),
        "threadsTotal": mailbox.threads(mailbox.messages.values()),
        "historyId": str(mailbox.history_id),
    }


_PAGE = {"maxResults": Parameter(uint32), "pageToken": Parameter(text)}
ROUTES: list[Route] = [
    gmail(
        "/messages",
        list_messages,
        scopes=MAY_LIST,
        query={
            **_PAGE,
            "q": Parameter(text),
            "labelIds": Parameter(text, is_repeated=True),
            "includeSpamTrash": Parameter(boolean),
        },
    ),
    gmail("/messages/batchModify", batch_modify, scopes=MAY_CHANGE, method="POST"),
    gmail(
        "/messages/{id}",
        get_message,
        scopes=MAY_LIST,
        query={
            "format": Parameter(
                one_of("type.googleapis.com/gmail.v1.Format", *gmail_rendering.FORMATS)
            ),
            "metadataHeaders": Parameter(text, is_repeated=True),
        },
    ),
    gmail("/messages/{id}/modify", modify, scopes=MAY_CHANGE, method="POST"),
    gmail("/messages/{messageId}/attachments/{id}", get_attachment, scopes=MAY_READ),
    gmail(
        "/history",
        list_history,
        scopes=MAY_LIST,
        query={
            **_PAGE,
            "startHistoryId": Parameter(uint64),
            "labelId": Parameter(text),
            "historyTypes": Parameter(
                one_of("type.googleapis.com/gmail.v1.HistoryType", *HISTORY_TYPES),
                is_repeated=True,
            ),
        },
    ),
    gmail("/labels", list_labels, scopes=MAY_SEE_LABELS),
    gmail("/labels", create_label, scopes=MAY_MAKE_LABELS, method="POST"),
    gmail("/labels/{id}", get_label, scopes=MAY_SEE_LABELS),
    gmail("/profile", get_profile, scopes=MAY_LIST),
]
