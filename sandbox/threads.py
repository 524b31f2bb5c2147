"""Threads and attachments: read from the messages they are part of."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from sandbox import bodies, happenings, parameters, rendering
from sandbox.errors import bad_request, not_found
from sandbox.mailboxes import Mailbox
from sandbox.messages import (
    LIST_QUERY,
    check_combinations,
    decode_cursor,
    encode_cursor,
    matching,
    tests_of,
)
from sandbox.routing import Answer, Call, api
from sandbox.world import Mail

DEFAULT_LIMIT, MAX_LIMIT = 20, 50
_LIST: parameters.Spec = {
    **{
        name: LIST_QUERY[name]
        for name in (
            "page_token", "any_email", "from", "to", "cc", "bcc", "subject", "in", "unread",
            "starred", "has_attachment", "search_query_native", "select", "thread_id",
        )
    },
    "limit": parameters.limit(MAX_LIMIT),
    "earliest_message_date": parameters.integer,
    "latest_message_before": parameters.integer,
    "latest_message_after": parameters.integer,
}  # fmt: skip


def written(mailbox: Mailbox, members: list[Mail], grant_id: str) -> dict[str, Any]:
    """A thread of its messages, newest first."""
    sent_folder = mailbox.folder_of_role("sent")
    messages = [mail for mail in members if not mail.is_draft]
    drafts = [mail for mail in members if mail.is_draft]
    participants = {
        party["email"]: party
        for mail in members
        for party in (*mail.sender, *mail.to, *mail.cc)
        if party["email"]
    }
    sent = [mail.date for mail in messages if sent_folder in mail.folders]
    received = [mail.date for mail in messages if sent_folder not in mail.folders]
    latest = rendering.written(members[0], mailbox, grant_id)
    latest["object"] = "draft" if members[0].is_draft else "message"
    data: dict[str, Any] = {
        "id": mailbox.thread_id_of(members[0].thread),
        "grant_id": grant_id,
        "object": "thread",
        "subject": members[-1].subject,
        "snippet": latest["snippet"],
        "participants": list(participants.values()),
        "message_ids": [mailbox.id_of(mail.uid, mail.version) for mail in messages],
        "draft_ids": [mailbox.id_of(mail.uid, mail.version) for mail in drafts],
        "folders": list(dict.fromkeys(f for mail in members for f in mail.folders)),
        "unread": any(mail.unread for mail in members),
        "starred": any(mail.starred for mail in members),
        "has_drafts": bool(drafts),
        "has_attachments": any(bodies.has_attachment(mail) for mail in members),
        "earliest_message_date": members[-1].date,
        "latest_draft_or_message": latest,
    }
    if received:
        data["latest_message_received_date"] = max(received)
    if sent:
        data["latest_message_sent_date"] = max(sent)
    return data


def list_threads(call: Call) -> Answer:
    """Newest first by the newest matching message of each thread."""
    params, mailbox = call.params, call.mailbox
    filters = {
        name: params[name]
        for name in params
        if name in LIST_QUERY and name not in ("limit", "page_token", "select")
    }
    check_combinations(mailbox, filters)
    if "latest_message_after" in params:
        filters["received_after"] = params["latest_message_after"]
    if "latest_message_before" in params:
        filters["received_before"] = params["latest_message_before"]
    token = params.get("page_token")
    first = decode_cursor(token) if token else None
    limit, select = params.get("limit", DEFAULT_LIMIT), params.get("select")
    data: list[dict[str, Any]] = []
    cursor = None
    last: Mail | None = None
    for mail in matching(mailbox, filters, first):
        members = mailbox.members(mail.thread)
        # A thread belongs to the page of its newest matching message.
        newest = next((m for m in members if _is_match(m, filters)), mail)
        if newest.uid != mail.uid:
            continue
        if members[-1].date < params.get("earliest_message_date", 0):
            continue
        if len(data) == limit and last is not None:
            cursor = encode_cursor((-last.date, last.uid))
            break
        thread = written(mailbox, members, call.grant.id)
        data.append({n: thread[n] for n in thread if not select or n in select})
        last = mail
    return call.many(data, cursor)


def _is_match(mail: Mail, filters: dict[str, Any]) -> bool:
    if (folder := filters.get("in")) and folder not in mail.folders:
        return False
    if (after := filters.get("received_after")) is not None and mail.date <= after:
        return False
    if (before := filters.get("received_before")) is not None and mail.date >= before:
        return False
    return all(test(mail) for test in tests_of(filters))


def _found(call: Call) -> list[Mail]:
    thread = call.mailbox.find_thread(call.path("thread_id"))
    if thread is None:
        raise not_found()
    return call.mailbox.members(thread)


def get_thread(call: Call) -> Answer:
    thread = written(call.mailbox, _found(call), call.grant.id)
    select = call.params.get("select")
    return call.one({name: thread[name] for name in thread if not select or name in select})


class ThreadUpdate(msgspec.Struct, forbid_unknown_fields=True):
    unread: bool | msgspec.UnsetType = msgspec.UNSET
    starred: bool | msgspec.UnsetType = msgspec.UNSET
    folders: list[str] | msgspec.UnsetType = msgspec.UNSET


def update_thread(call: Call) -> Answer:
    members, mailbox = _found(call), call.mailbox
    wanted = msgspec.to_builtins(call.read(ThreadUpdate))
    for folder in wanted.get("folders") or []:
        if folder not in mailbox.folders:
            raise bad_request(f"unknown folder {folder!r}")
    for mail in members:
        happenings.change(call.sandbox, mailbox, mail, **wanted)
    return call.one(written(mailbox, _found(call), call.grant.id))


def delete_thread(call: Call) -> Answer:
    for mail in _found(call):
        happenings.delete(call.sandbox, call.mailbox, mail, hard=False)
    return call.done()


# --- attachments ----------------------------------------------------------------------------------


def _attachment(call: Call) -> dict[str, Any]:
    message_id = call.params.get("message_id")
    if not message_id:
        raise bad_request("missing required query parameter 'message_id'")
    mail = call.mailbox.find(message_id)
    found = bodies.attachments_of(mail, call.grant.id) if mail else []
    for attachment in found:
        if attachment["id"] == call.path("attachment_id"):
            return attachment
    raise not_found()


def get_attachment(call: Call) -> Answer:
    return call.one(_attachment(call))


def download(call: Call) -> Answer:
    attachment = _attachment(call)
    content = bodies.attachment_bytes(attachment)
    return Response(
        content,
        media_type=attachment["content_type"] or "application/octet-stream",
        headers={"Content-Disposition": "attachment"},
    )


_ONE = "/v3/grants/{grant_id}/threads/{thread_id}"
_FILE = "/v3/grants/{grant_id}/attachments/{attachment_id}"
_OF: parameters.Spec = {"message_id": parameters.text}
ROUTES: list[Route] = [
    api("/v3/grants/{grant_id}/threads", list_threads, query=_LIST),
    api(_ONE, get_thread, query={"select": parameters.names}),
    api(_ONE, update_thread, method="PUT"),
    api(_ONE, delete_thread, method="DELETE"),
    api(_FILE, get_attachment, query=_OF),
    api(_FILE + "/download", download, query=_OF),
]
