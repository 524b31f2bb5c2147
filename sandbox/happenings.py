"""What can happen to a mailbox or a grant, whoever causes it: the API, a switch, or the page.

Each function records the change and then tells the webhooks.
"""

from __future__ import annotations

import secrets
from typing import Any

import msgspec

from sandbox import notices
from sandbox.errors import bad_request
from sandbox.hashing import mix, text_hash
from sandbox.layout import Kind
from sandbox.mailboxes import Folder, Mailbox
from sandbox.state import Grant, Sandbox
from sandbox.world import Mail, Party

REPLAY_LIMIT = 72 * 3_600  # what was missed in a longer outage is never notified


def new_message_id(domain: str) -> str:
    return f"<{secrets.token_hex(10)}@{domain}>"


def compose(
    mailbox: Mailbox,
    *,
    sender: list[Party],
    to: list[Party],
    subject: str,
    body: str,
    date: int,
    folders: tuple[str, ...],
    message_id: str | None,
    cc: list[Party] | None = None,
    bcc: list[Party] | None = None,
    reply_to: list[Party] | None = None,
    is_html: bool = False,
    is_draft: bool = False,
    unread: bool = True,
    starred: bool = False,
    in_reply_to: str | None = None,
    references: tuple[str, ...] = (),
    attachments: tuple[dict[str, Any], ...] = (),
    headers: tuple[tuple[str, str], ...] = (),
    metadata: dict[str, Any] | None = None,
    uid: int | None = None,
) -> Mail:
    """A message for this mailbox, in the thread that it answers; not stored yet."""
    uid = mailbox.next_uid if uid is None else uid
    thread = uid
    for reference in (in_reply_to, *reversed(references)):
        parent = mailbox.find_by_message_id(reference) if reference else None
        if parent is not None:
            thread = parent.thread
            break
    return Mail(
        uid=uid, date=date, subject=subject, sender=sender, to=to, cc=cc or [], bcc=bcc or [],
        reply_to=reply_to or [], folders=folders, message_id=message_id,
        in_reply_to=in_reply_to, references=references, thread=thread,
        unread=unread and not is_draft, starred=starred, kind=Kind.PERSONAL,
        noise=mix(text_hash(message_id or subject)), is_draft=is_draft, body=body,
        is_html=is_html, attachments=attachments, headers=headers, metadata=metadata,
    )  # fmt: skip


def mail_operation(mailbox: Mailbox, mail: Mail) -> dict[str, Any]:
    return {"op": "mail", "mailbox": mailbox.index, "mail": msgspec.to_builtins(mail)}


def store(sandbox: Sandbox, mailbox: Mailbox, mail: Mail, *more: dict[str, Any]) -> None:
    sandbox.commit(mail_operation(mailbox, mail), *more)
    notices.message(sandbox, "message.created", mailbox, mail)


def move(sandbox: Sandbox, mailbox: Mailbox, mail: Mail, folder: Folder) -> str:
    """Move a message; at Google the former labels go. Returns its ID, which may be a new one."""
    change(sandbox, mailbox, mail, folders=(folder.id,))
    moved = mailbox.mail(mail.uid)
    assert moved is not None
    return mailbox.id_of(moved.uid, moved.version)


def change(sandbox: Sandbox, mailbox: Mailbox, mail: Mail, **values: Any) -> None:
    """Change folders, unread, starred or metadata of a message."""
    before = mailbox.id_of(mail.uid, mail.version)
    operation = {"op": "change", "mailbox": mailbox.index, "uid": mail.uid, **values}
    sandbox.commit(operation)
    changed = mailbox.mail(mail.uid)
    assert changed is not None
    if mailbox.id_of(changed.uid, changed.version) != before:
        # A moved message is a new one to Microsoft's clients, and the old ID is gone.
        notices.message_gone(sandbox, mailbox, before)
        notices.message(sandbox, "message.created", mailbox, changed)
    else:
        notices.message(sandbox, "message.updated", mailbox, changed)


def delete(sandbox: Sandbox, mailbox: Mailbox, mail: Mail, *, hard: bool) -> None:
    """To the trash; when `hard`, for good."""
    trash = mailbox.folder_of_role("trash")
    if not hard and trash is not None:
        change(sandbox, mailbox, mail, folders=(trash,))
        return
    message_id = mailbox.id_of(mail.uid, mail.version)
    sandbox.commit({"op": "remove", "mailbox": mailbox.index, "uid": mail.uid})
    notices.message_gone(sandbox, mailbox, message_id)


def authorise(
    sandbox: Sandbox,
    index: int,
    *,
    scope: list[str] | None = None,
    state: str = "",
    user_agent: str = "",
) -> Grant:
    """Make a grant, or authenticate an existing one again: then it keeps its ID."""
    now = sandbox.now()
    existing = sandbox.grant_of(index)
    grant = msgspec.structs.replace(existing) if existing else sandbox.new_grant(index, now)
    outage = now - (grant.expired_at or now)
    grant.updated_at, grant.grant_status, grant.expired_at = now, "valid", None
    grant.scope = scope or grant.scope
    grant.state, grant.user_agent = state, user_agent
    sandbox.commit({"op": "grant", "grant": msgspec.to_builtins(grant)})
    if existing is None:
        notices.grant(sandbox, "grant.created", grant, 25012)
    else:
        notices.grant(sandbox, "grant.updated", grant, 25027, reauthentication_flag=True)
        notices.release(sandbox, index, drop=outage > REPLAY_LIMIT)
    return grant


def expire(sandbox: Sandbox, grant: Grant) -> None:
    if grant.grant_status == "invalid":
        return
    expired = msgspec.structs.replace(grant, grant_status="invalid", expired_at=sandbox.now())
    sandbox.commit({"op": "grant", "grant": msgspec.to_builtins(expired)})
    notices.grant(sandbox, "grant.expired", expired, 25009)


def revoke(sandbox: Sandbox, grant: Grant) -> None:
    sandbox.commit({"op": "grant-gone", "id": grant.id})
    notices.grant(sandbox, "grant.deleted", grant, 25013)


def folder_or_400(mailbox: Mailbox, wanted: str) -> Folder:
    folder = mailbox.find_folder(wanted)
    if folder is None:
        raise bad_request(f"the mailbox has no folder {wanted!r}")
    return folder
