"""Drafts and sending: JSON, multipart and raw MIME, with Idempotency-Key."""

from __future__ import annotations

import base64
import binascii
import email
import email.policy
import hashlib
from email.utils import getaddresses
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from sandbox import gmail_post, happenings, notices, parameters, rendering
from sandbox.errors import ApiError, bad_request, not_found
from sandbox.mailboxes import DELIVERED, Mailbox
from sandbox.messages import LIST_QUERY, decode_cursor, page_of, tests_of
from sandbox.parameters import one_of
from sandbox.routing import Answer, Call, api
from sandbox.state import CachedSend, Sandbox
from sandbox.world import Mail, Party

KEY_LIFETIME, KEY_LIMIT = 3_600, 256
SIZE_LIMIT = 25 * 1024 * 1024
JSON_LIMIT = 3 * 1024 * 1024  # of attachments; larger ones must come as multipart


class Address(msgspec.Struct):
    email: str
    name: str = ""


class OutgoingAttachment(msgspec.Struct):
    filename: str
    content_type: str
    content: str = ""
    size: int = 0
    content_id: str | None = None
    content_disposition: str = "attachment"
    is_inline: bool = False


class CustomHeader(msgspec.Struct):
    name: str
    value: str


class Outgoing(msgspec.Struct, forbid_unknown_fields=True):
    """The body of send and of the drafts."""

    to: list[Address] = []
    cc: list[Address] = []
    bcc: list[Address] = []
    reply_to: list[Address] = []
    sender: list[Address] = msgspec.field(name="from", default_factory=list)
    subject: str = ""
    body: str = ""
    attachments: list[OutgoingAttachment] = []
    starred: bool = False
    send_at: int | None = None
    use_draft: bool = False
    reply_to_message_id: str | None = None
    tracking_options: dict[str, Any] | None = None
    custom_headers: list[CustomHeader] = []
    metadata: dict[str, str] | None = None
    is_plaintext: bool = False


def _parties(addresses: list[Address]) -> list[Party]:
    for address in addresses:
        if "@" not in address.email:
            raise bad_request(f"{address.email!r} is not an email address")
    return [{"name": address.name, "email": address.email} for address in addresses]


# --- reading the request --------------------------------------------------------------------------


async def _read(call: Call) -> tuple[Outgoing, str | None]:
    """What to send; and the Message-ID, where raw MIME brings one."""
    content_type = call.request.headers.get("content-type", "")
    if not content_type.startswith("multipart/form-data"):
        wish = call.read(Outgoing)
        if sum(_size(attachment) for attachment in wish.attachments) >= JSON_LIMIT:
            raise bad_request("attachments of 3 MB and more must be sent as multipart/form-data")
        return wish, None
    form = await call.request.form()
    if call.params.get("type") == "mime":
        return _from_mime(await _part(form.get("mime")))
    message = await _part(form.get("message"))
    try:
        wish = msgspec.json.decode(message, type=Outgoing)
    except msgspec.DecodeError as error:
        raise bad_request(f"error parsing form field 'message': {error}") from error
    for name, part in form.multi_items():
        if name != "message" and not isinstance(part, str):
            wish.attachments.append(
                OutgoingAttachment(
                    filename=part.filename or name,
                    content_type=part.content_type or "application/octet-stream",
                    size=part.size or 0,
                    content_id=None if name.startswith("file") else name,
                )
            )
    return wish, None


async def _part(part: Any) -> bytes:
    if part is None:
        raise bad_request("a form field is missing: 'message' (or 'mime' with type=mime)")
    return part.encode() if isinstance(part, str) else await part.read()


def _size(attachment: OutgoingAttachment) -> int:
    if not attachment.content:
        return attachment.size
    try:
        return len(base64.b64decode(attachment.content, validate=True))
    except binascii.Error as error:
        raise bad_request(f"attachment {attachment.filename!r} is not base64") from error


def _from_mime(raw: bytes) -> tuple[Outgoing, str | None]:
    parsed = email.message_from_bytes(raw, policy=email.policy.default)

    def addresses(name: str) -> list[Address]:
        pairs = getaddresses([str(value) for value in parsed.get_all(name, [])])
        return [Address(address, shown) for shown, address in pairs if address]

    text = parsed.get_body(("html", "plain"))
    wish = Outgoing(
        to=addresses("to"),
        cc=addresses("cc"),
        bcc=addresses("bcc"),
        sender=addresses("from"),
        subject=str(parsed.get("subject", "")),
        body=text.get_content() if text is not None else "",
        is_plaintext=text is None or text.get_content_type() == "text/plain",
    )
    return wish, str(parsed["message-id"]) if parsed["message-id"] else None


# --- writing the messages -------------------------------------------------------------------------


def _compose(call: Call, wish: Outgoing, *, is_draft: bool, message_id: str | None = None) -> Mail:
    """The sender's own copy: in Sent, or in Drafts."""
    mailbox = call.mailbox
    persona = mailbox.persona
    me: list[Party] = [{"name": persona.name, "email": persona.email}]
    if wish.sender:
        me = _parties(wish.sender)
        if me[0]["email"].casefold() not in {persona.email, *persona.aliases}:
            raise bad_request("from is not an address of this account")
        me[0]["name"] = me[0]["name"] or persona.name
    parent = mailbox.find(wish.reply_to_message_id) if wish.reply_to_message_id else None
    if wish.reply_to_message_id and parent is None:
        raise bad_request("reply_to_message_id: no such message")
    folder = mailbox.folder_of_role("drafts" if is_draft else "sent")
    own_uid = mailbox.next_uid
    references = (*parent.references, parent.message_id) if parent and parent.message_id else ()
    return happenings.compose(
        mailbox,
        uid=own_uid,
        sender=me,
        to=_parties(wish.to),
        cc=_parties(wish.cc),
        bcc=_parties(wish.bcc),
        reply_to=_parties(wish.reply_to),
        subject=wish.subject,
        body=wish.body,
        is_html=not wish.is_plaintext,
        date=call.sandbox.now(),
        folders=(folder,) if folder else (),
        message_id=message_id or happenings.new_message_id(me[0]["email"].rpartition("@")[2]),
        in_reply_to=parent.message_id if parent else None,
        references=references,
        is_draft=is_draft,
        unread=False,
        starred=wish.starred,
        headers=tuple((header.name, header.value) for header in wish.custom_headers),
        metadata=wish.metadata,
        attachments=tuple(
            {
                "id": f"att-{own_uid}-{n}",
                "filename": attachment.filename,
                "content_type": attachment.content_type,
                "size": _size(attachment),
                "is_inline": attachment.is_inline,
                "content_id": attachment.content_id,
                "content_disposition": attachment.content_disposition,
            }
            for n, attachment in enumerate(wish.attachments)
        ),
    )


def _copies(sandbox: Sandbox, origin: Mailbox, sent: Mail) -> list[tuple[Mailbox, Mail]]:
    """What arrives at the recipients that have a mailbox in this world; without Bcc."""
    found: dict[int, None] = {}
    for party in (*sent.to, *sent.cc, *sent.bcc):
        index = sandbox.index_of(party["email"])
        if index is not None:
            found[index] = None
    copies = []
    for index in found:
        mailbox = sandbox.mailbox(index)
        inbox = mailbox.folder_of_role("inbox")
        is_own = index == origin.index
        copy = happenings.compose(
            mailbox,
            uid=mailbox.next_uid + (1 if is_own else 0),
            sender=sent.sender,
            to=sent.to,
            cc=sent.cc,
            reply_to=sent.reply_to,
            subject=sent.subject,
            body=sent.body or "",
            is_html=sent.is_html,
            date=sent.date,
            folders=(inbox,) if inbox else (),
            message_id=sent.message_id,
            in_reply_to=sent.in_reply_to,
            references=sent.references,
            attachments=sent.attachments or (),
            headers=sent.headers,
        )
        if is_own and mailbox.is_google:
            # A message to oneself is one message with two labels at Google.
            sent.folders = (*sent.folders, *copy.folders)
            continue
        if is_own:
            copy.thread = sent.thread
        copies.append((mailbox, copy))
    return copies


def post(
    sandbox: Sandbox,
    origin: Mailbox,
    sent: Mail,
    *more: dict[str, Any],
    draft: Mail | None = None,
    authentication: str = "pass",
) -> None:
    """Put it into Sent and into the mailboxes it goes to, in one step of the log."""
    copies = _copies(sandbox, origin, sent)
    operations = [
        happenings.mail_operation(origin, sent),
        *(happenings.mail_operation(mailbox, mail) for mailbox, mail in copies),
        *gmail_post.copies(sent, authentication=authentication),
    ]
    if draft is not None:
        operations.append({"op": "remove", "mailbox": origin.index, "uid": draft.uid})
    sandbox.commit(*operations, *more)
    for mailbox, mail in [(origin, sent), *copies]:
        notices.message(sandbox, "message.created", mailbox, mail)


def _send(
    call: Call,
    wish: Outgoing,
    *more: dict[str, Any],
    message_id: str | None,
    draft: Mail | None = None,
) -> Mail:
    if not wish.to:
        raise bad_request("to is required")
    sent = _compose(call, wish, is_draft=False, message_id=message_id)
    post(call.sandbox, call.mailbox, sent, *more, draft=draft)
    return sent


# --- endpoints ------------------------------------------------------------------------------------


async def send_message(call: Call) -> Answer:
    key = call.request.headers.get("idempotency-key")
    if key is not None and len(key) > KEY_LIMIT:
        raise ApiError(
            400, "api.invalid_idempotency_key", "Idempotency-Key must be 256 characters or fewer."
        )
    if len(call.body) > SIZE_LIMIT * 4 // 3:
        raise ApiError(413, "payload_too_large", "The message is larger than 25 MB.")
    cache_key = f"{call.grant.id}/{key}"
    fingerprint = hashlib.sha256(_payload(call)).hexdigest()
    cached = call.sandbox.sends.get(cache_key) if key else None
    if cached is not None and cached.at + KEY_LIFETIME > call.sandbox.now():
        if cached.fingerprint != fingerprint:
            raise ApiError(
                409,
                "api.invalid_idempotent_request",
                "The Idempotency-Key was reused with a different request payload. "
                "Use a different key, or match the original payload.",
            )
        headers = {"Idempotent-Response": "true"}
        return Response(cached.body, cached.status, headers, media_type="application/json")
    wish, message_id = await _read(call)
    if wish.send_at is not None:
        raise bad_request("send_at: scheduled sending is not modelled by the sandbox")
    if not key:
        return _sent_answer(call, _send(call, wish, message_id=message_id))
    # The answer is recorded with the message itself, so that no crash can part them.
    preview = _compose(call, wish, is_draft=False, message_id=message_id)
    body = msgspec.json.encode(_sent_answer(call, preview)).decode()
    answer = CachedSend(fingerprint, 200, body, call.sandbox.now())
    record = {"op": "sent", "key": cache_key, "answer": msgspec.to_builtins(answer)}
    _send(call, wish, record, message_id=preview.message_id)
    return Response(body, media_type="application/json")


def _payload(call: Call) -> bytes:
    """What the fingerprint of a request is taken of: a multipart boundary differs each time."""
    content_type = call.request.headers.get("content-type", "")
    boundary = content_type.partition("boundary=")[2].strip('"')
    return call.body.replace(boundary.encode(), b"") if boundary else call.body


def _sent_answer(call: Call, sent: Mail) -> dict[str, Any]:
    plan = rendering.writers(call.params.get("fields", "standard"), None)
    data = {name: write(sent, call.mailbox, call.grant.id) for name, write in plan}
    return {**call.one(data), "grant_id": call.grant.id}


def _draft_data(call: Call, draft: Mail) -> dict[str, Any]:
    data = rendering.written(draft, call.mailbox, call.grant.id)
    data["object"] = "draft"
    select = call.params.get("select")
    return {name: data[name] for name in data if not select or name in select}


def _found_draft(call: Call) -> Mail:
    mail = call.mailbox.find(call.path("draft_id"))
    if mail is None or not mail.is_draft:
        raise not_found()
    return mail


def list_drafts(call: Call) -> Answer:
    token = call.params.get("page_token")
    first = decode_cursor(token) if token else None
    folder = call.mailbox.folder_of_role("drafts")
    tests = tests_of(call.params)
    found = (
        mail
        for mail in call.mailbox.walk(folder, first=first)
        if mail.is_draft and all(test(mail) for test in tests)
    )
    page, cursor = page_of(found, call.params.get("limit", 50))
    return call.many([_draft_data(call, mail) for mail in page], cursor)


def get_draft(call: Call) -> Answer:
    return call.one(_draft_data(call, _found_draft(call)))


async def create_draft(call: Call) -> Answer:
    wish, _ = await _read(call)
    draft = _compose(call, wish, is_draft=True)
    happenings.store(call.sandbox, call.mailbox, draft)
    return call.one(_draft_data(call, draft))


async def update_draft(call: Call) -> Answer:
    old, (wish, _) = _found_draft(call), await _read(call)
    new = _compose(call, wish, is_draft=True)
    # Omitted fields keep what they were; which were sent is only in the raw body.
    given = _given(call)
    for name in ("subject", "body", "to", "cc", "bcc", "reply_to", "attachments", "metadata"):
        if name not in given:
            setattr(new, name, getattr(old, name))
    new.uid, new.thread, new.message_id = old.uid, old.thread, old.message_id
    if old.uid < DELIVERED:
        new.uid = call.mailbox.next_uid
        remove = {"op": "remove", "mailbox": call.mailbox.index, "uid": old.uid}
        happenings.store(call.sandbox, call.mailbox, new, remove)
    else:
        happenings.store(call.sandbox, call.mailbox, new)
    return call.one(_draft_data(call, new))


def _given(call: Call) -> set[str]:
    try:
        return set(msgspec.json.decode(call.body, type=dict[str, Any]))
    except msgspec.DecodeError:
        return {"subject", "body", "to", "cc", "bcc", "reply_to", "attachments", "metadata"}


def delete_draft(call: Call) -> Answer:
    happenings.delete(call.sandbox, call.mailbox, _found_draft(call), hard=True)
    return call.done()


def send_draft(call: Call) -> Answer:
    draft = _found_draft(call)
    rendered = rendering.written(draft, call.mailbox, call.grant.id)
    wish = Outgoing(
        to=[Address(p["email"], p.get("name", "")) for p in draft.to],
        cc=[Address(p["email"], p.get("name", "")) for p in draft.cc],
        bcc=[Address(p["email"], p.get("name", "")) for p in draft.bcc],
        subject=draft.subject,
        body=rendered["body"],
    )
    sent = _send(call, wish, message_id=draft.message_id, draft=draft)
    return _sent_answer(call, sent)


_MESSAGES = "/v3/grants/{grant_id}/messages/send"
_DRAFTS = "/v3/grants/{grant_id}/drafts"
_DRAFT = "/v3/grants/{grant_id}/drafts/{draft_id}"
_SELECT: parameters.Spec = {"select": parameters.names}
_LIST: parameters.Spec = {
    name: LIST_QUERY[name]
    for name in (
        "limit", "page_token", "metadata_pair", "select", "subject", "any_email", "to", "cc", "bcc",
        "unread", "starred", "thread_id", "has_attachment", "query_imap",
    )
}  # fmt: skip
ROUTES: list[Route] = [
    api(
        _MESSAGES,
        send_message,
        method="POST",
        query={
            "fields": one_of("standard", "include_headers", "include_basic_headers"),
            "type": one_of("mime"),
        },
    ),
    api(_DRAFTS, list_drafts, query=_LIST),
    api(_DRAFTS, create_draft, method="POST"),
    api(_DRAFT, get_draft, query=_SELECT),
    api(_DRAFT, update_draft, method="PUT"),
    api(_DRAFT, delete_draft, method="DELETE"),
    api(_DRAFT, send_draft, method="POST"),
]
