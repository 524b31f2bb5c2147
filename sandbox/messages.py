"""Messages: list, get, change, delete; and how one is written down in the API's words."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from starlette.routing import Route

from sandbox import bodies, happenings, parameters
from sandbox.errors import bad_request, not_found
from sandbox.mailboxes import Key, Mailbox
from sandbox.rendering import writers
from sandbox.routing import Answer, Call, api
from sandbox.world import Mail, Party

DEFAULT_LIMIT, MAX_LIMIT = 50, 200
FIELDS = (
    "standard",
    "include_headers",
    "include_basic_headers",
    "include_tracking_options",
    "raw_mime",
)
GET_QUERY: parameters.Spec = {
    "fields": parameters.one_of(*FIELDS),
    "select": parameters.names,
}
LIST_QUERY: parameters.Spec = {
    **GET_QUERY,
    "limit": parameters.limit(MAX_LIMIT),
    "page_token": parameters.text,
    "any_email": parameters.addresses,
    "from": parameters.addresses,
    "to": parameters.addresses,
    "cc": parameters.addresses,
    "bcc": parameters.addresses,
    "subject": parameters.text,
    "in": parameters.text,
    "unread": parameters.boolean,
    "starred": parameters.boolean,
    "thread_id": parameters.text,
    "received_after": parameters.integer,
    "received_before": parameters.integer,
    "has_attachment": parameters.boolean,
    "search_query_native": parameters.text,
    "metadata_pair": parameters.metadata_pair,
    "query_imap": parameters.boolean,
}

# --- finding --------------------------------------------------------------------------------------


def encode_cursor(key: Key) -> str:
    return base64.urlsafe_b64encode(f"{key[0]}/{key[1]}".encode()).decode()


def decode_cursor(token: str) -> Key:
    try:
        date, _, uid = base64.urlsafe_b64decode(token).decode().partition("/")
        return int(date), int(uid)
    except (binascii.Error, ValueError) as error:
        raise bad_request(f"invalid page_token {token!r}") from error


def _has(parties: list[Party], wanted: frozenset[str]) -> bool:
    return any(party["email"].casefold() in wanted for party in parties)


def tests_of(params: dict[str, Any]) -> list[Callable[[Mail], bool]]:
    """One test per filter that was given, apart from folder, date and thread."""
    tests: list[Callable[[Mail], bool]] = []
    if any_email := params.get("any_email"):
        tests.append(
            lambda m: (
                _has(m.sender, any_email)
                or _has(m.to, any_email)
                or _has(m.cc, any_email)
                or _has(m.bcc, any_email)
            )
        )
    if sender := params.get("from"):
        tests.append(lambda m: _has(m.sender, sender))
    for name in ("to", "cc", "bcc"):
        if wanted := params.get(name):
            tests.append(lambda m, n=name, w=wanted: _has(getattr(m, n), w))  # type: ignore[misc]
    if (subject := params.get("subject")) is not None:
        tests.append(lambda m: subject in m.subject)
    for name in ("unread", "starred"):
        if (flag := params.get(name)) is not None:
            tests.append(lambda m, n=name, f=flag: getattr(m, n) is f)  # type: ignore[misc]
    if (wanted_files := params.get("has_attachment")) is not None:
        tests.append(lambda m: bodies.has_attachment(m) is wanted_files)
    if pair := params.get("metadata_pair"):
        tests.append(lambda m: (m.metadata or {}).get(pair[0]) == pair[1])
    if words := params.get("search_query_native"):
        # The providers' own languages are not modelled: every word must be in subject or sender.
        tests.append(
            lambda m: all(
                word in f"{m.subject} {m.sender[0]['email']}".casefold()
                for word in words.casefold().split()
            )
        )
    return tests


def check_combinations(mailbox: Mailbox, params: dict[str, Any]) -> None:
    given = params.keys() - {"limit", "page_token", "fields", "select"}
    if "search_query_native" in given and not given <= {"search_query_native", "in"}:
        raise bad_request("search_query_native can be combined only with in, limit and page_token")
    if "metadata_pair" in given and len(given) > 1:
        raise bad_request("metadata_pair cannot be combined with other filters")
    folder = params.get("in")
    if folder is not None and folder not in mailbox.folders:
        # Folder IDs only: names and keywords such as "inbox" or "in:inbox" are refused.
        if mailbox.is_google:
            provider_error = {"code": 400, "message": f"Invalid label: {folder}"}
        else:
            provider_error = {"code": "ErrorInvalidIdMalformed", "message": "Id is malformed."}
        raise bad_request(f"invalid folder ID {folder!r} in query parameter 'in'", provider_error)


def _in_thread(mailbox: Mailbox, params: dict[str, Any], first: Key | None) -> Iterator[Mail]:
    thread = mailbox.find_thread(params["thread_id"])
    after, before, folder = (
        params.get("received_after"),
        params.get("received_before"),
        params.get("in"),
    )
    for mail in mailbox.members(thread) if thread is not None else []:
        if first is not None and (-mail.date, mail.uid) <= first:
            continue
        if (
            (after is None or mail.date > after)
            and (before is None or mail.date < before)
            and (folder is None or folder in mail.folders)
        ):
            yield mail


def matching(mailbox: Mailbox, params: dict[str, Any], first: Key | None) -> Iterator[Mail]:
    """The messages that pass all filters, newest first, from behind `first` on."""
    if "thread_id" in params:
        found = _in_thread(mailbox, params, first)
    else:
        found = mailbox.walk(
            params.get("in"),
            first=first,
            before=params.get("received_before"),
            after=params.get("received_after"),
        )
    tests = tests_of(params)
    if not tests:
        return found
    return (mail for mail in found if all(test(mail) for test in tests))


def page_of(mails: Iterator[Mail], limit: int) -> tuple[list[Mail], str | None]:
    """One page, and the cursor of the next one where there is more."""
    page: list[Mail] = []
    for mail in mails:
        if len(page) == limit:
            return page, encode_cursor((-page[-1].date, page[-1].uid))
        page.append(mail)
    return page, None


# --- endpoints ------------------------------------------------------------------------------------


def list_messages(call: Call) -> Answer:
    params, mailbox, grant_id = call.params, call.mailbox, call.grant.id
    check_combinations(mailbox, params)
    token = params.get("page_token")
    first = decode_cursor(token) if token else None
    page, cursor = page_of(matching(mailbox, params, first), params.get("limit", DEFAULT_LIMIT))
    plan = writers(params.get("fields", "standard"), params.get("select"))
    data = [{name: write(mail, mailbox, grant_id) for name, write in plan} for mail in page]
    return call.many(data, cursor)


def found_message(call: Call) -> Mail:
    mail = call.mailbox.find(call.path("message_id"))
    if mail is None:
        code = {"code": 404, "message": "Requested entity was not found."}
        if not call.mailbox.is_google:
            code = {"code": "ErrorItemNotFound", "message": "The specified object was not found."}
        error = not_found()
        error.provider_error = code
        raise error
    return mail


def get_message(call: Call) -> Answer:
    mail = found_message(call)
    plan = writers(call.params.get("fields", "standard"), call.params.get("select"))
    return call.one({name: write(mail, call.mailbox, call.grant.id) for name, write in plan})


class MessageUpdate(msgspec.Struct, forbid_unknown_fields=True):
    unread: bool | msgspec.UnsetType = msgspec.UNSET
    starred: bool | msgspec.UnsetType = msgspec.UNSET
    folders: list[str] | msgspec.UnsetType = msgspec.UNSET
    metadata: dict[str, str] | msgspec.UnsetType = msgspec.UNSET


def update_message(call: Call) -> Answer:
    mail, mailbox = found_message(call), call.mailbox
    wanted = msgspec.to_builtins(call.read(MessageUpdate))
    folders = wanted.get("folders")
    if folders is not None:
        for folder in folders:
            if folder not in mailbox.folders:
                raise bad_request(f"unknown folder {folder!r}")
        if len(folders) != 1 and not mailbox.is_google:
            raise bad_request("a Microsoft message is in exactly one folder")
    if wanted:
        happenings.change(call.sandbox, mailbox, mail, **wanted)
    changed = mailbox.mail(mail.uid)
    assert changed is not None
    plan = writers("standard", call.params.get("select"))
    return call.one({name: write(changed, mailbox, call.grant.id) for name, write in plan})


def delete_message(call: Call) -> Answer:
    hard = call.params.get("hard_delete", False)
    happenings.delete(call.sandbox, call.mailbox, found_message(call), hard=hard)
    return call.done()


_ONE = "/v3/grants/{grant_id}/messages/{message_id}"
ROUTES: list[Route] = [
    api("/v3/grants/{grant_id}/messages", list_messages, query=LIST_QUERY),
    api(_ONE, get_message, query=GET_QUERY),
    api(_ONE, update_message, method="PUT", query={"select": parameters.names}),
    api(_ONE, delete_message, method="DELETE", query={"hard_delete": parameters.boolean}),
]
