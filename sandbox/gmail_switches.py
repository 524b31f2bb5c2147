"""How mail comes into a Gmail mailbox by the press of a switch: delivered, sent, forwarded."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from email import message_from_bytes
from email.utils import formatdate, parseaddr
from typing import Any

import msgspec

from sandbox import forwarding, gmail_post, happenings, notices, outgoing
from sandbox.control import find_mailbox, find_message
from sandbox.errors import bad_request, not_found
from sandbox.forwarding_words import LANGUAGES
from sandbox.gmail_letters import AUTHENTICATIONS, Attachment, Letter, arrived, raw_of
from sandbox.gmail_mailbox import ARRIVING, GmailMailbox, Message
from sandbox.gmail_search import decoded
from sandbox.google_accounts import INTAKE, NAMES
from sandbox.mailboxes import Mailbox
from sandbox.state import Sandbox
from sandbox.world import Mail, Party


class File(msgspec.Struct, forbid_unknown_fields=True):
    """An attachment: its content in base64, or only its size."""

    filename: str
    content_type: str = "application/octet-stream"
    content: str = ""
    size: int = 0


class Deliver(msgspec.Struct, forbid_unknown_fields=True):
    """Mail as its sender sent it: `raw` (or `raw_base64`), or in its parts."""

    account: str = INTAKE
    raw: str | None = None
    raw_base64: str | None = None
    sender: Party | None = msgspec.field(name="from", default=None)
    to: list[Party] | None = None
    cc: list[Party] = []
    reply_to: list[Party] = []
    subject: str = ""
    text: str | None = None
    html: str | None = None
    date: str | None = None  # as in the header; default now
    # Missing: one is made up. None: the message has none.
    message_id: str | msgspec.UnsetType | None = msgspec.UNSET
    headers: dict[str, str] = {}
    attachments: list[File] = []
    authentication: str = "pass"
    envelope_from: str | None = None
    labels: tuple[str, ...] = ARRIVING
    at: int | None = None  # when it arrives, epoch seconds; default now


class Send(msgspec.Struct, forbid_unknown_fields=True):
    """A rep writes to somebody; `crm` says where the capture mailbox stands."""

    mailbox: str
    to: list[Party]
    cc: list[Party] = []
    subject: str = ""
    body: str = ""
    html: bool = False
    crm: str = "bcc"
    sender: str | None = msgspec.field(name="from", default=None)  # one of the rep's addresses
    attachments: list[dict[str, Any]] = []
    authentication: str = "pass"


class Forward(msgspec.Struct, forbid_unknown_fields=True):
    """A rep forwards a message of their mailbox to the capture mailbox."""

    mailbox: str
    id: str | None = None  # API ID or Message-ID; default the newest in the Inbox from a customer
    client: str = "gmail"
    language: str = "en"
    note: str = ""
    as_attachment: bool = False
    authentication: str = "pass"


class Generate(msgspec.Struct, forbid_unknown_fields=True):
    account: str = INTAKE
    count: int = 0


# --- looking things up ----------------------------------------------------------------------------


def gmail_mailbox(sandbox: Sandbox, account: str) -> GmailMailbox:
    if account.casefold() not in NAMES:
        raise not_found(f"no Google account {account!r} in this world")
    return sandbox.google.mailbox(account.casefold())


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise bad_request(f"{name} must be one of {', '.join(choices)}")


def _decoded_base64(name: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise bad_request(f"{name} is not base64") from error


def described(mailbox: GmailMailbox, message: Message) -> dict[str, Any]:
    parsed = message_from_bytes(mailbox.raw(message))
    return {
        "id": message.id,
        "thread_id": message.thread_id,
        "history_id": str(message.history_id),
        "internal_date": message.at,
        "label_ids": list(message.labels),
        "labels": [mailbox.labels[label].name for label in message.labels],
        **{
            name.lower().replace("-", "_"): decoded(parsed.get(name, ""))
            for name in ("Message-ID", "From", "To", "Cc", "Subject", "Date")
        },
        "note": message.note,
    }


# --- mail arrives ---------------------------------------------------------------------------------


def _letter(mailbox: GmailMailbox, wish: Deliver) -> bytes:
    if wish.sender is None or "email" not in wish.sender:
        raise bad_request('from needs {"email": …}')
    sender: Party = {"name": "", **wish.sender}
    message_id = wish.message_id
    if message_id is msgspec.UNSET:
        message_id = happenings.new_message_id(sender["email"].rpartition("@")[2])
    parties = wish.to if wish.to is not None else [{"name": "", "email": mailbox.account}]
    letter = Letter(
        sender=sender,
        to=parties,
        cc=wish.cc,
        reply_to=wish.reply_to,
        subject=wish.subject,
        date=formatdate() if wish.date is None else wish.date,
        text=wish.text,
        html=wish.html,
        message_id=message_id,
        headers=[*wish.headers.items()],
        attachments=[
            Attachment(
                file.filename,
                file.content_type,
                _decoded_base64("content", file.content) or b"x" * file.size,
            )
            for file in wish.attachments
        ],
    )
    try:
        return raw_of(letter)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise bad_request(f"no program could write this: {error}; give it as raw") from error


def deliver(sandbox: Sandbox, wish: Deliver) -> dict[str, Any]:
    mailbox = gmail_mailbox(sandbox, wish.account)
    _one_of("authentication", wish.authentication, AUTHENTICATIONS)
    for label in wish.labels:
        if label not in mailbox.labels:
            raise bad_request(f"unknown label {label!r}")
    if wish.raw_base64 is not None:
        raw = _decoded_base64("raw_base64", wish.raw_base64)
    elif wish.raw is not None:
        raw = wish.raw.encode("utf-8", "surrogateescape")
    else:
        raw = _letter(mailbox, wish)
    at = gmail_post.now_ms() if wish.at is None else wish.at * 1000
    sender = parseaddr(decoded(message_from_bytes(raw).get("From", "")))[1]
    copy = arrived(
        raw, account=mailbox.account, sender=sender, at=at,
        authentication=wish.authentication, envelope=wish.envelope_from,
    )  # fmt: skip
    note = {"story": "delivered", "authentication": wish.authentication}
    operation = gmail_post.operation(mailbox.account, copy, at=at, labels=wish.labels, note=note)
    return _arrival(sandbox, mailbox, operation)


def _arrival(
    sandbox: Sandbox, mailbox: GmailMailbox, *operations: dict[str, Any]
) -> dict[str, Any]:
    """Record what arrives, and tell of the last of it."""
    known = len(mailbox.records)
    sandbox.commit(*operations)
    added = [record for record in mailbox.records[known:] if record.kind == "messageAdded"]
    return described(mailbox, mailbox.messages[added[-1].message_id])


def send(sandbox: Sandbox, wish: Send) -> dict[str, Any]:
    """The rep's Sent copy here, the copies of colleagues, and the one of the capture mailbox."""
    origin, mailbox = find_mailbox(sandbox, wish.mailbox), gmail_mailbox(sandbox, INTAKE)
    _one_of("crm", wish.crm, ("bcc", "cc", "to", "none"))
    _one_of("authentication", wish.authentication, AUTHENTICATIONS)
    crm: Party = {"name": "", "email": INTAKE}
    sent = _sent(
        sandbox,
        origin,
        sender=wish.sender,
        to=[*_named(wish.to), *([crm] if wish.crm == "to" else [])],
        cc=[*_named(wish.cc), *([crm] if wish.crm == "cc" else [])],
        bcc=[crm] if wish.crm == "bcc" else [],
        subject=wish.subject,
        body=wish.body,
        is_html=wish.html,
        attachments=wish.attachments,
    )
    outgoing.post(sandbox, origin, sent, authentication=wish.authentication)
    arrival = mailbox.find(sent.message_id or "") if wish.crm != "none" else None
    return {
        "sent": {"id": origin.id_of(sent.uid, sent.version), "message_id": sent.message_id},
        "received": described(mailbox, arrival) if arrival else None,
    }


def _named(parties: list[Party]) -> list[Party]:
    for party in parties:
        if "email" not in party:
            raise bad_request('each address needs {"email": …}')
    return [{"name": party.get("name", ""), "email": party["email"]} for party in parties]


def _sent(
    sandbox: Sandbox,
    origin: Mailbox,
    *,
    sender: str | None = None,
    attachments: list[dict[str, Any]] | None = None,
    message_id: str | None = None,
    **values: Any,
) -> Mail:
    """The copy for the Sent folder; not stored yet."""
    persona = origin.persona
    address = persona.email if sender is None else sender
    if address not in (persona.email, *persona.aliases):
        raise bad_request("from is not an address of this account")
    folder = origin.folder_of_role("sent")
    return happenings.compose(
        origin,
        sender=[{"name": persona.name, "email": address}],
        date=sandbox.now(),
        folders=(folder,) if folder else (),
        message_id=message_id or happenings.new_message_id(address.rpartition("@")[2]),
        unread=False,
        attachments=tuple(
            {
                "id": f"att-{origin.next_uid}-{n}",
                "filename": "file",
                "content_type": "",
                "size": 0,
                "is_inline": False,
                "content_disposition": "attachment",
                **attachment,
            }
            for n, attachment in enumerate(attachments or ())
        ),
        **values,
    )


def forward(sandbox: Sandbox, wish: Forward) -> dict[str, Any]:
    """The capture mailbox gets the forward; the rep's Sent folder keeps a copy of it, too."""
    origin, mailbox = find_mailbox(sandbox, wish.mailbox), gmail_mailbox(sandbox, INTAKE)
    _one_of("client", wish.client, forwarding.CLIENTS)
    _one_of("language", wish.language, tuple(LANGUAGES))
    _one_of("authentication", wish.authentication, AUTHENTICATIONS)
    found = find_message(origin, wish.id) if wish.id else _newest_from_customer(origin)
    rep = origin.persona
    letter = forwarding.forward(
        forwarding.original_of(found, rep.time_zone),
        by=rep,
        to={"name": "", "email": INTAKE},
        client=wish.client,
        at=datetime.fromtimestamp(sandbox.now() - 2, UTC),
        message_id=happenings.new_message_id(rep.email.rpartition("@")[2]),
        language=wish.language,
        note=wish.note,
        as_attachment=wish.as_attachment,
    )
    sent = _sent(
        sandbox, origin, message_id=letter.message_id, to=letter.to, subject=letter.subject,
        body=letter.html or "", is_html=True,
    )  # fmt: skip
    note = {"client": wish.client, "original": found.message_id, "rep": rep.email}
    received = gmail_post.received(
        INTAKE, raw_of(letter), rep.email, authentication=wish.authentication,
        story="forwarded", original_from=found.sender[0]["email"], **note,
    )  # fmt: skip
    arrival = _arrival(sandbox, mailbox, happenings.mail_operation(origin, sent), received)
    notices.message(sandbox, "message.created", origin, sent)
    return {"original": {"message_id": found.message_id}, "received": arrival}


def _newest_from_customer(origin: Mailbox) -> Mail:
    domains = {company.domain for company in origin.world.customers}
    for mail in origin.walk(origin.folder_of_role("inbox")):
        if mail.sender[0]["email"].rpartition("@")[2] in domains:
            return mail
    raise not_found("the Inbox has no mail from a customer")


def generate(sandbox: Sandbox, wish: Generate) -> dict[str, Any]:
    mailbox = gmail_mailbox(sandbox, wish.account)
    if not 1 <= wish.count <= 1_000_000:
        raise bad_request("count must be between 1 and 1,000,000")
    operation = {"op": "gmail-generated", "account": mailbox.account, "count": wish.count}
    sandbox.commit({**operation, "at": gmail_post.now_ms()})
    return {"messages": len(mailbox.messages), "history_id": str(mailbox.history_id)}
