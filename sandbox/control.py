"""The switches: what a test or a person makes happen in the world, over JSON and on the page."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sandbox import happenings, messages, pages
from sandbox.errors import ApiError, bad_request, not_found
from sandbox.faults import KINDS, Fault
from sandbox.mailboxes import Mailbox
from sandbox.routing import json_response
from sandbox.state import Sandbox
from sandbox.world import Mail, Party

T = TypeVar("T")
MAX_TRUTH = 5_000


class Deliver(msgspec.Struct, forbid_unknown_fields=True):
    mailbox: str
    subject: str
    sender: Party = msgspec.field(name="from")
    body: str = ""
    to: list[Party] | None = None
    cc: list[Party] = []
    bcc: list[Party] = []
    reply_to: list[Party] = []
    html: bool = False
    folder: str | list[str] = "inbox"
    date: int | None = None
    # Missing: one is made up. None: the message has none.
    message_id: str | msgspec.UnsetType | None = msgspec.UNSET
    headers: dict[str, str] = {}
    draft: bool = False
    unread: bool = True
    attachments: list[dict[str, Any]] = []


class OfMessage(msgspec.Struct, forbid_unknown_fields=True):
    mailbox: str
    id: str
    folder: str = "archive"
    hard: bool = False


class OfMailbox(msgspec.Struct, forbid_unknown_fields=True):
    mailbox: str


class AddFault(msgspec.Struct, forbid_unknown_fields=True):
    kind: str
    path: str = ""
    times: int | None = None
    retry_after: int | None = None
    delay: float | None = None
    mailbox: str | None = None
    after: bool = False


class WebhookSettings(msgspec.Struct, forbid_unknown_fields=True):
    retry_delays: list[float] | None = None
    timeout: float | None = None
    hold: float | None = None


# --- what the switches do -------------------------------------------------------------------------


def find_mailbox(sandbox: Sandbox, email: str) -> Mailbox:
    index = sandbox.index_of(email)
    if index is None:
        raise not_found(f"no mailbox {email!r} in this world")
    return sandbox.mailbox(index)


def find_message(mailbox: Mailbox, wanted: str) -> Mail:
    """By API ID or by Message-ID."""
    mail = mailbox.find(wanted) or mailbox.find_by_message_id(wanted)
    if mail is None:
        raise not_found(f"no message {wanted!r} in this mailbox")
    return mail


def fill_parties(parties: list[Party]) -> list[Party]:
    for party in parties:
        if "email" not in party:
            raise bad_request('each address needs {"email": …}')
    return [{"name": party.get("name", ""), "email": party["email"]} for party in parties]


def deliver(sandbox: Sandbox, wish: Deliver) -> dict[str, Any]:
    mailbox = find_mailbox(sandbox, wish.mailbox)
    names = [wish.folder] if isinstance(wish.folder, str) else wish.folder
    if wish.draft and names == ["inbox"]:
        names = ["drafts"]
    folders = tuple(happenings.folder_or_400(mailbox, name).id for name in names)
    me = {"name": mailbox.persona.name, "email": mailbox.persona.email}
    sender = fill_parties([wish.sender])
    message_id = wish.message_id
    if message_id is msgspec.UNSET:
        message_id = happenings.new_message_id(sender[0]["email"].rpartition("@")[2])
    headers = {name.casefold(): value for name, value in wish.headers.items()}
    mail = happenings.compose(
        mailbox,
        sender=sender,
        to=[me] if wish.to is None else fill_parties(wish.to),
        cc=fill_parties(wish.cc),
        bcc=fill_parties(wish.bcc),
        reply_to=fill_parties(wish.reply_to),
        subject=wish.subject,
        body=wish.body,
        is_html=wish.html,
        date=sandbox.now() if wish.date is None else wish.date,
        folders=folders,
        message_id=message_id,
        in_reply_to=headers.pop("in-reply-to", None),
        references=tuple(headers.pop("references", "").split()),
        headers=tuple((n, v) for n, v in wish.headers.items() if n.casefold() in headers),
        is_draft=wish.draft,
        unread=wish.unread and mailbox.folder_of_role("sent") not in folders,
        attachments=tuple(
            {
                "id": f"att-{mailbox.next_uid}-{n}",
                "filename": "file",
                "content_type": "",
                "size": 0,
                "is_inline": False,
                "content_disposition": "attachment",
                **attachment,
            }
            for n, attachment in enumerate(wish.attachments)
        ),
    )
    happenings.store(sandbox, mailbox, mail)
    return {**_identity(mailbox, mail), "folders": mail.folders, "date": mail.date}


def _identity(mailbox: Mailbox, mail: Mail) -> dict[str, Any]:
    return {
        "id": mailbox.id_of(mail.uid, mail.version),
        "message_id": mail.message_id,
        "thread_id": mailbox.thread_id_of(mail.thread),
    }


def move(sandbox: Sandbox, wish: OfMessage) -> dict[str, Any]:
    mailbox = find_mailbox(sandbox, wish.mailbox)
    mail = find_message(mailbox, wish.id)
    folder = happenings.folder_or_400(mailbox, wish.folder)
    return {"id": happenings.move(sandbox, mailbox, mail, folder), "folders": [folder.id]}


def delete(sandbox: Sandbox, wish: OfMessage) -> dict[str, Any]:
    mailbox = find_mailbox(sandbox, wish.mailbox)
    mail = find_message(mailbox, wish.id)
    happenings.delete(sandbox, mailbox, mail, hard=wish.hard)
    left = mailbox.mail(mail.uid)
    return {"id": mailbox.id_of(left.uid, left.version) if left else None}


def expire(sandbox: Sandbox, wish: OfMailbox) -> dict[str, Any]:
    grant = sandbox.grant_of(find_mailbox(sandbox, wish.mailbox).index)
    if grant is None:
        raise not_found(f"{wish.mailbox} has no grant")
    happenings.expire(sandbox, grant)
    return {"grant_id": grant.id, "grant_status": "invalid"}


def make_grant(sandbox: Sandbox, wish: OfMailbox) -> dict[str, Any]:
    grant = happenings.authorise(sandbox, find_mailbox(sandbox, wish.mailbox).index)
    return {"grant_id": grant.id, "grant_status": grant.grant_status, "provider": grant.provider}


def world_of(sandbox: Sandbox) -> dict[str, Any]:
    world = sandbox.world
    flags = world.contact_flags()
    personas = []
    for index in range(world.size):
        person, grant = world.persona(index), sandbox.grant_of(index)
        total = world.messages
        if index in sandbox._mailboxes:
            mailbox = sandbox.mailbox(index)
            total += len(mailbox.delivered) - sum(c.is_gone for c in mailbox.changes.values())
        personas.append(
            {
                "index": index,
                "username": person.username,
                "name": person.name,
                "email": person.email,
                "aliases": person.aliases,
                "role": person.role,
                "provider": sandbox.provider_of(index),
                "grant_id": grant.id if grant else None,
                "grant_status": grant.grant_status if grant else None,
                "messages": total,
            }
        )
    customers = [
        {
            "number": company.number,
            "name": company.name,
            "domain": company.domain,
            "contacts": [
                {
                    "first_name": contact.first,
                    "last_name": contact.last,
                    "addresses": contact.addresses,
                    "my_contact_of": flags.get(contact.index, []),
                }
                for contact in company.contacts
            ],
        }
        for company in world.customers
    ]
    return {
        "seed": world.seed,
        "anchor": world.anchor,
        "history_days": world.history_days,
        "mailboxes": world.size,
        "messages": world.messages,
        "personas": personas,
        "customers": customers,
        "prospects": [{"name": p.name, "domain": p.domain} for p in world.prospects],
    }


def truth(sandbox: Sandbox, query: dict[str, str]) -> dict[str, Any]:
    """Every message as it stands, headers only, newest first; `next_cursor` while there is more."""
    mailbox = find_mailbox(sandbox, query.get("mailbox", ""))
    folder = query.get("folder")
    folder_id = happenings.folder_or_400(mailbox, folder).id if folder else None
    token = query.get("page_token")
    since = query.get("since")
    found = mailbox.walk(
        folder_id,
        first=messages.decode_cursor(token) if token else None,
        after=int(since) - 1 if since else None,
    )
    page, cursor = messages.page_of(found, min(int(query.get("limit", "1000")), MAX_TRUTH))
    data = [
        {
            **_identity(mailbox, mail),
            "date": mail.date,
            "folders": mail.folders,
            "folder_names": [mailbox.folders[f].name for f in mail.folders if f in mailbox.folders],
            "roles": [mailbox.folders[f].role for f in mail.folders if f in mailbox.folders],
            "from": mail.sender,
            "to": mail.to,
            "cc": mail.cc,
            "bcc": mail.bcc,
            "subject": mail.subject,
            "in_reply_to": mail.in_reply_to,
            "draft": mail.is_draft,
        }
        for mail in page
    ]
    return {"data": data, "next_cursor": cursor}


def add_fault(wish: AddFault) -> Fault:
    if wish.kind not in KINDS:
        raise bad_request(f"unknown kind {wish.kind!r}; one of: {', '.join(KINDS)}")
    try:
        re.compile(wish.path)
    except re.error as error:
        raise bad_request(f"path is not a regular expression: {error}") from error
    mailbox = wish.mailbox.casefold() if wish.mailbox else None
    return Fault(
        wish.kind, wish.path, wish.times, mailbox, wish.retry_after, wish.delay, wish.after
    )


# --- over JSON ------------------------------------------------------------------------------------


def switch(path: str, kind: type[T], act: Callable[[Sandbox, T], dict[str, Any]]) -> Route:
    async def answer(request: Request) -> Response:
        try:
            wish = msgspec.json.decode(await request.body(), type=kind)
            return json_response(act(request.app.state.sandbox, wish))
        except msgspec.DecodeError as error:
            return json_response({"error": str(error)}, 400)
        except ApiError as error:
            return json_response({"error": error.message}, error.status)

    return Route(path, answer, methods=["POST"])


async def show_world(request: Request) -> Response:
    return json_response(world_of(request.app.state.sandbox))


async def show_truth(request: Request) -> Response:
    try:
        return json_response(truth(request.app.state.sandbox, dict(request.query_params)))
    except ApiError as error:
        return json_response({"error": error.message}, error.status)
    except ValueError as error:
        return json_response({"error": str(error)}, 400)


async def faults(request: Request) -> Response:
    state = request.app.state
    if request.method == "DELETE":
        state.faults.items.clear()
    elif request.method == "POST":
        try:
            wish = msgspec.json.decode(await request.body(), type=AddFault)
            state.faults.items.append(add_fault(wish))
        except msgspec.DecodeError as error:
            return json_response({"error": str(error)}, 400)
        except ApiError as error:
            return json_response({"error": error.message}, error.status)
    return json_response({"faults": state.faults.items, "kinds": KINDS})


async def requests(request: Request) -> Response:
    log = request.app.state.requests
    if request.method == "DELETE":
        log.clear()
    return json_response({"counts": dict(log.counts), "last": list(log.last)})


async def deliveries(request: Request) -> Response:
    hooks = request.app.state.hooks
    if request.method == "DELETE":
        hooks.deliveries.clear()
    return json_response({"pending": hooks.pending, "deliveries": list(hooks.deliveries)})


async def webhook_settings(request: Request) -> Response:
    hooks = request.app.state.hooks
    if request.method == "POST":
        try:
            wish = msgspec.json.decode(await request.body(), type=WebhookSettings)
        except msgspec.DecodeError as error:
            return json_response({"error": str(error)}, 400)
        for name in ("retry_delays", "timeout", "hold"):
            if (value := getattr(wish, name)) is not None:
                setattr(hooks, name, value)
    return json_response(
        {"retry_delays": hooks.retry_delays, "timeout": hooks.timeout, "hold": hooks.hold}
    )


async def health(request: Request) -> Response:
    return json_response({"status": "ok"})


# --- on the page ----------------------------------------------------------------------------------


async def home(request: Request) -> Response:
    state = request.app.state
    return pages.home(state.sandbox, state.faults.active(), request.query_params.get("done", ""))


def _split(text: str) -> list[Party]:
    return [{"name": "", "email": part.strip()} for part in text.split(",") if part.strip()]


def _do(state: Any, action: str, form: dict[str, str]) -> str:
    """Do what a form of the page asks; returns a sentence that says what was done."""
    sandbox: Sandbox = state.sandbox
    email = form.get("mailbox", "").strip()
    if action == "deliver":
        to = _split(form.get("to", "")) or None
        sender = {"name": form.get("from_name", ""), "email": form.get("from_email", "")}
        wish = Deliver(
            mailbox=email, sender=sender, to=to, cc=_split(form.get("cc", "")),
            subject=form.get("subject", ""), body=form.get("body", ""),
            folder=form.get("folder") or "inbox",
        )  # fmt: skip
        made = deliver(sandbox, wish)
        return f"Delivered “{wish.subject}” to {email}. Its ID is {made['id']}."
    if action in ("move", "delete", "destroy"):
        of = OfMessage(email, form.get("id", "").strip(), form.get("folder") or "archive")
        if action == "move":
            return f"Moved to {of.folder}. Its ID is now {move(sandbox, of)['id']}."
        of.hard = action == "destroy"
        delete(sandbox, of)
        return "Deleted for good." if of.hard else "Moved to the trash."
    if action == "grant":
        return f"{email} is authorised: grant {make_grant(sandbox, OfMailbox(email))['grant_id']}."
    if action == "expire":
        expire(sandbox, OfMailbox(email))
        return f"The grant of {email} has expired."
    if action == "clear-faults":
        state.faults.items.clear()
        return "All faults are cleared."
    if action == "fault":
        times, seconds = form.get("times", "").strip(), form.get("seconds", "").strip()
        kind = form.get("kind", "")
        wait = float(seconds) if seconds else None
        is_limit = kind in ("429", "503")
        state.faults.items.append(
            add_fault(
                AddFault(
                    kind=kind,
                    path=form.get("path", "").strip(),
                    times=int(times) if times else None,
                    retry_after=int(wait) if is_limit and wait is not None else None,
                    delay=None if is_limit else wait,
                )
            )
        )
        return f"Added the fault {kind}."
    raise not_found(f"no switch {action!r}")


async def page_switch(request: Request) -> Response:
    form = {name: str(value) for name, value in (await request.form()).items()}
    try:
        done = _do(request.app.state, request.path_params["action"], form)
    except ApiError as error:
        done = f"Nothing done: {error.message}."
    except ValueError as error:
        done = f"Nothing done: {error}."
    return RedirectResponse("/?" + urlencode({"done": done}), 303)


ROUTES: list[Route] = [
    Route("/", home),
    Route("/healthz", health),
    Route("/sandbox/world", show_world),
    Route("/sandbox/truth", show_truth),
    Route("/sandbox/faults", faults, methods=["GET", "POST", "DELETE"]),
    Route("/sandbox/requests", requests, methods=["GET", "DELETE"]),
    Route("/sandbox/deliveries", deliveries, methods=["GET", "DELETE"]),
    Route("/sandbox/webhook-settings", webhook_settings, methods=["GET", "POST"]),
    switch("/sandbox/deliver", Deliver, deliver),
    switch("/sandbox/move", OfMessage, move),
    switch("/sandbox/delete", OfMessage, delete),
    switch("/sandbox/expire", OfMailbox, expire),
    switch("/sandbox/grant", OfMailbox, make_grant),
    Route("/sandbox/page/{action}", page_switch, methods=["POST"]),
]
