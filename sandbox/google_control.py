"""Google's switches: what a test or a person does to its mailboxes and consents; all its routes."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sandbox.control import AddFault, add_fault, switch
from sandbox.errors import ApiError, bad_request, not_found
from sandbox.gmail_mailbox import GmailMailbox, Message
from sandbox.gmail_switches import (
    Deliver,
    Forward,
    Generate,
    Send,
    deliver,
    described,
    forward,
    generate,
    gmail_mailbox,
    send,
)
from sandbox.google_accounts import (
    CLIENT_ID,
    CLIENT_SECRET,
    EMAIL,
    INTAKE,
    MODIFY,
    NAMES,
    SCOPES,
)
from sandbox.routing import json_response
from sandbox.state import Sandbox

MOST_TRUTH = 5_000


class OfAccount(msgspec.Struct, forbid_unknown_fields=True):
    account: str = INTAKE


class OfMessage(OfAccount):
    id: str = ""
    trash: bool = False


class Relabel(OfAccount):
    id: str = ""
    add: list[str] = []
    remove: list[str] = []


class Authorise(OfAccount):
    scopes: tuple[str, ...] = ("openid", EMAIL, MODIFY)


class Change(msgspec.Struct, forbid_unknown_fields=True):
    padding: bool | None = None
    token_lifetime: int | None = None


# --- what happens ---------------------------------------------------------------------------------


def _message(mailbox: GmailMailbox, wanted: str) -> Message:
    message = mailbox.find(wanted)
    if message is None:
        raise not_found(f"no message {wanted!r} in this mailbox")
    return message


def delete(sandbox: Sandbox, wish: OfMessage) -> dict[str, Any]:
    """For good, or into the trash."""
    mailbox = gmail_mailbox(sandbox, wish.account)
    message = _message(mailbox, wish.id)
    if wish.trash:
        return relabel(sandbox, Relabel(wish.account, message.id, ["TRASH"], ["INBOX"]))
    sandbox.commit({"op": "gmail-gone", "account": mailbox.account, "id": message.id})
    return {"id": message.id}


def relabel(sandbox: Sandbox, wish: Relabel) -> dict[str, Any]:
    mailbox = gmail_mailbox(sandbox, wish.account)
    message = _message(mailbox, wish.id)
    for label in (*wish.add, *wish.remove):
        if label not in mailbox.labels:
            raise bad_request(f"unknown label {label!r}")
    operation = {"op": "gmail-labels", "account": mailbox.account, "ids": [message.id]}
    sandbox.commit({**operation, "add": wish.add, "remove": wish.remove})
    return {"id": message.id, "label_ids": list(message.labels)}


def expire_history(sandbox: Sandbox, wish: OfAccount) -> dict[str, Any]:
    mailbox = gmail_mailbox(sandbox, wish.account)
    sandbox.commit({"op": "gmail-forget-history", "account": mailbox.account})
    return {"account": mailbox.account, "history_id": str(mailbox.history_id)}


def expire_tokens(sandbox: Sandbox, wish: OfAccount) -> dict[str, Any]:
    account = gmail_mailbox(sandbox, wish.account).account
    return {"account": account, "expired": sandbox.google.expire_tokens(account)}


def revoke(sandbox: Sandbox, wish: OfAccount) -> dict[str, Any]:
    account = gmail_mailbox(sandbox, wish.account).account
    if account not in sandbox.google.consents:
        raise not_found(f"{account} has consented to nothing")
    sandbox.google.revoke(account)
    return {"account": account, "consent": None}


def authorise(sandbox: Sandbox, wish: Authorise) -> dict[str, Any]:
    """A consent without the pages, as the file that Google's tools keep for a user."""
    account, google = gmail_mailbox(sandbox, wish.account).account, sandbox.google
    for scope in wish.scopes:
        if scope not in SCOPES and scope not in ("openid", EMAIL):
            raise bad_request(f"unknown scope {scope!r}")
    google.consent(account, list(wish.scopes))
    return {
        "type": "authorized_user",
        "account": account,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "refresh_token": google.issue_refresh(account, list(wish.scopes)),
        "scopes": wish.scopes,
    }


def change_settings(sandbox: Sandbox, wish: Change) -> dict[str, Any]:
    given = {name: v for name, v in msgspec.to_builtins(wish).items() if v is not None}
    settings: dict[str, Any] = {**msgspec.to_builtins(sandbox.google.settings), **given}
    sandbox.commit({"op": "google-settings", "settings": settings})
    return settings


# --- telling --------------------------------------------------------------------------------------


def truth(sandbox: Sandbox, query: dict[str, str]) -> dict[str, Any]:
    """Every message as it stands, newest first; `next_cursor` while there is more."""
    mailbox = gmail_mailbox(sandbox, query.get("account", INTAKE))
    token = query.get("page_token")
    behind = (-int(token.split("/")[0]), -int(token.split("/")[1])) if token else None
    limit = min(int(query.get("limit", "1000")), MOST_TRUTH)
    data: list[dict[str, Any]] = []
    cursor = None
    for message in mailbox.walk(behind):
        if len(data) == limit:
            break
        data.append(described(mailbox, message))
        cursor = f"{message.at}/{message.number}"
    is_whole = len(data) < limit or cursor == _oldest(mailbox)
    return {"data": data, "next_cursor": None if is_whole else cursor}


def _oldest(mailbox: GmailMailbox) -> str:
    last = min(mailbox.messages.values(), key=lambda message: (message.at, message.number))
    return f"{last.at}/{last.number}"


def state_of(sandbox: Sandbox) -> dict[str, Any]:
    google = sandbox.google
    accounts = []
    for account, name in NAMES.items():
        mailbox, consent = google.mailbox(account), google.consents.get(account)
        accounts.append(
            {
                "account": account,
                "name": name,
                "messages": len(mailbox.messages),
                "history_id": str(mailbox.history_id),
                "oldest_start": str(mailbox.oldest_start),
                "labels": [label.name for label in mailbox.labels.values() if label.type == "user"],
                "consent": consent.scopes if consent else None,
                "refresh_tokens": len(consent.refresh_tokens) if consent else 0,
            }
        )
    return {
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "accounts": accounts,
        "settings": google.settings,
    }


async def show_state(request: Request) -> Response:
    return json_response(state_of(request.app.state.sandbox))


async def show_truth(request: Request) -> Response:
    try:
        return json_response(truth(request.app.state.sandbox, dict(request.query_params)))
    except ApiError as error:
        return json_response({"error": error.message}, error.status)
    except (ValueError, IndexError) as error:
        return json_response({"error": str(error)}, 400)


# --- on the page ----------------------------------------------------------------------------------


def _do(state: Any, action: str, form: dict[str, str]) -> str:
    """Do what a form of the page asks; returns a sentence that says what was done."""
    sandbox: Sandbox = state.sandbox
    email = form.get("mailbox", "").strip()
    account = OfAccount(form.get("account") or INTAKE)
    if action == "send":
        wish = Send(
            mailbox=email,
            to=[{"email": part.strip()} for part in form.get("to", "").split(",") if part.strip()],
            subject=form.get("subject", ""), body=form.get("body", ""), crm=form.get("crm", "bcc"),
            authentication=form.get("authentication", "pass"),
        )  # fmt: skip
        if not wish.to:
            raise bad_request("somebody has to receive it")
        made = send(sandbox, wish)
        return f"Sent “{wish.subject}” as {email}; Message-ID {made['sent']['message_id']}."
    if action == "forward":
        made = forward(
            sandbox,
            Forward(
                mailbox=email, id=form.get("id", "").strip() or None,
                client=form.get("client", "gmail"), language=form.get("language", "en"),
                note=form.get("note", ""), as_attachment="as_attachment" in form,
                authentication=form.get("authentication", "pass"),
            ),
        )  # fmt: skip
        return f"{email} forwarded “{made['received']['subject']}”."
    if action == "expire-history":
        expire_history(sandbox, account)
        return f"The history IDs of {account.account} are too old now."
    if action == "expire-tokens":
        expired = expire_tokens(sandbox, account)["expired"]
        return f"{expired} access tokens of {account.account} have run out."
    if action == "revoke":
        revoke(sandbox, account)
        return f"{account.account} took its consent back."
    if action == "quota":
        kind, times = form.get("kind", ""), int(form.get("times") or 1)
        state.faults.items.append(add_fault(AddFault(kind=kind, path="/gmail/", times=times)))
        return f"Gmail answers {kind}, {times} more."
    if action == "padding":
        settings = change_settings(sandbox, Change(padding=not sandbox.google.settings.padding))
        return f"Base64 comes {'with' if settings['padding'] else 'without'} padding now."
    raise not_found(f"no switch {action!r}")


async def page_switch(request: Request) -> Response:
    form = {name: str(value) for name, value in (await request.form()).items()}
    try:
        done = _do(request.app.state, request.path_params["action"], form)
    except ApiError as error:
        done = f"Nothing done: {error.message}."
    except ValueError as error:
        done = f"Nothing done: {error}."
    return RedirectResponse("/?" + urlencode({"done": done}) + "#google", 303)


_S = "/sandbox/google"
ROUTES: list[Route] = [
    Route(_S, show_state),
    Route(f"{_S}/truth", show_truth),
    switch(f"{_S}/deliver", Deliver, deliver),
    switch(f"{_S}/send", Send, send),
    switch(f"{_S}/forward", Forward, forward),
    switch(f"{_S}/generate", Generate, generate),
    switch(f"{_S}/delete", OfMessage, delete),
    switch(f"{_S}/label", Relabel, relabel),
    switch(f"{_S}/expire-history", OfAccount, expire_history),
    switch(f"{_S}/expire-tokens", OfAccount, expire_tokens),
    switch(f"{_S}/revoke", OfAccount, revoke),
    switch(f"{_S}/authorise", Authorise, authorise),
    switch(f"{_S}/settings", Change, change_settings),
    Route(f"{_S}/page/{{action}}", page_switch, methods=["POST"]),
]
