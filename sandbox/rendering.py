"""One message in the API's words."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from sandbox import bodies
from sandbox.mailboxes import Mailbox
from sandbox.world import Mail

Writer = Callable[[Mail, Mailbox, str], Any]

_STANDARD: dict[str, Writer] = {
    "id": lambda mail, box, grant: box.id_of(mail.uid, mail.version),
    "grant_id": lambda mail, box, grant: grant,
    "object": lambda mail, box, grant: "message",
    "thread_id": lambda mail, box, grant: box.thread_id_of(mail.thread),
    "subject": lambda mail, box, grant: mail.subject,
    "from": lambda mail, box, grant: mail.sender,
    "to": lambda mail, box, grant: mail.to,
    "cc": lambda mail, box, grant: mail.cc,
    "bcc": lambda mail, box, grant: mail.bcc,
    "reply_to": lambda mail, box, grant: mail.reply_to,
    "date": lambda mail, box, grant: mail.date,
    "created_at": lambda mail, box, grant: mail.date,
    "body": lambda mail, box, grant: bodies.body_of(mail),
    "snippet": lambda mail, box, grant: bodies.snippet_of(mail),
    "unread": lambda mail, box, grant: mail.unread,
    "starred": lambda mail, box, grant: mail.starred,
    "folders": lambda mail, box, grant: mail.folders,
    "attachments": lambda mail, box, grant: bodies.attachments_of(mail, grant),
    "metadata": lambda mail, box, grant: mail.metadata or {},
}
_EXTRA: dict[str, tuple[str, Writer]] = {
    "include_headers": ("headers", lambda mail, box, grant: bodies.all_headers(mail)),
    "include_basic_headers": ("headers", lambda mail, box, grant: bodies.basic_headers(mail)),
    "include_tracking_options": ("tracking_options", lambda mail, box, grant: None),
}
_RAW: dict[str, Writer] = {
    "id": _STANDARD["id"],
    "grant_id": _STANDARD["grant_id"],
    "object": _STANDARD["object"],
    "raw_mime": lambda mail, box, grant: base64.urlsafe_b64encode(bodies.raw_mime(mail)).decode(),
}


def writers(fields: str, select: frozenset[str] | None) -> list[tuple[str, Writer]]:
    """What to write for each message; `select` leaves exactly the fields it names."""
    chosen = dict(_RAW if fields == "raw_mime" else _STANDARD)
    if fields in _EXTRA:
        name, writer = _EXTRA[fields]
        chosen[name] = writer
    return [(name, writer) for name, writer in chosen.items() if not select or name in select]


def written(mail: Mail, mailbox: Mailbox, grant_id: str) -> dict[str, Any]:
    """The standard form of one message."""
    return {name: write(mail, mailbox, grant_id) for name, write in writers("standard", None)}
