"""Folders (Microsoft) and labels (Google)."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec
from starlette.routing import Route

from sandbox import notices, parameters
from sandbox.errors import bad_request, not_found
from sandbox.mailboxes import Folder, Mailbox, opaque
from sandbox.routing import Answer, Call, api

LIST_QUERY: parameters.Spec = {
    "limit": parameters.limit(200),
    "page_token": parameters.text,
    "select": parameters.names,
    "parent_id": parameters.text,
    "include_hidden_folders": parameters.boolean,
    "single_level": parameters.boolean,
}
DEFAULT_LIMIT = 50


def written(folder: Folder, mailbox: Mailbox, grant_id: str) -> dict[str, Any]:
    total, unread = mailbox.count(folder)
    data: dict[str, Any] = {
        "id": folder.id,
        "grant_id": grant_id,
        "object": "folder",
        "name": folder.name,
        "total_count": total,
        "unread_count": unread,
        "attributes": [folder.attribute] if folder.attribute else [],
    }
    if mailbox.is_google:
        data["system_folder"] = folder.is_system
        return data
    if folder.is_system:
        data["system_folder"] = folder.role
    data["parent_id"] = folder.parent_id or opaque("AAMkAF", mailbox.index, 0)
    data["child_count"] = sum(f.parent_id == folder.id for f in mailbox.folders.values())
    return data


def _selected(call: Call, data: dict[str, Any]) -> dict[str, Any]:
    select = call.params.get("select")
    return {name: data[name] for name in data if not select or name in select}


def list_folders(call: Call) -> Answer:
    mailbox, params = call.mailbox, call.params
    start = 0
    if token := params.get("page_token"):
        if not token.isdigit():
            raise bad_request(f"invalid page_token {token!r}")
        start = int(token)
    folders = list(mailbox.folders.values())
    if parent := params.get("parent_id"):
        folders = [folder for folder in folders if folder.parent_id == parent]
    elif params.get("single_level"):
        folders = [folder for folder in folders if folder.parent_id is None]
    end = start + params.get("limit", DEFAULT_LIMIT)
    data = [_selected(call, written(f, mailbox, call.grant.id)) for f in folders[start:end]]
    return call.many(data, str(end) if end < len(folders) else None)


def _found(call: Call) -> Folder:
    folder = call.mailbox.folders.get(call.path("folder_id"))
    if folder is None:
        raise not_found()
    return folder


def get_folder(call: Call) -> Answer:
    return call.one(_selected(call, written(_found(call), call.mailbox, call.grant.id)))


class FolderBody(msgspec.Struct, forbid_unknown_fields=True):
    name: str | None = None
    parent_id: str | None = None
    background_color: str | None = None
    text_color: str | None = None


def _save(call: Call, folder: Folder, trigger: str) -> Answer:
    mailbox = call.mailbox
    operation = {"op": "folder", "mailbox": mailbox.index, "folder": msgspec.to_builtins(folder)}
    call.sandbox.commit(operation)
    data = written(folder, mailbox, call.grant.id)
    notices.plain(call.sandbox, trigger, mailbox, data)
    return call.one(data)


def create_folder(call: Call) -> Answer:
    body, mailbox = call.read(FolderBody), call.mailbox
    if not body.name:
        raise bad_request("name is required")
    if any(folder.name == body.name for folder in mailbox.folders.values()):
        raise bad_request(f"a folder named {body.name!r} exists already")
    if mailbox.is_google:
        folder_id = f"Label_{secrets.randbelow(10**12)}"
    else:
        folder_id = opaque("AAMkAF", secrets.randbits(63), mailbox.index)
    return _save(call, Folder(folder_id, body.name, parent_id=body.parent_id), "folder.created")


def update_folder(call: Call) -> Answer:
    body, folder = call.read(FolderBody), _found(call)
    if folder.is_system:
        raise bad_request("a system folder cannot be changed")
    changed = msgspec.structs.replace(
        folder, name=body.name or folder.name, parent_id=body.parent_id or folder.parent_id
    )
    return _save(call, changed, "folder.updated")


def delete_folder(call: Call) -> Answer:
    folder, mailbox = _found(call), call.mailbox
    if folder.is_system:
        raise bad_request("a system folder cannot be deleted")
    call.sandbox.commit({"op": "folder-gone", "mailbox": mailbox.index, "id": folder.id})
    data = {"id": folder.id, "grant_id": call.grant.id, "object": "folder"}
    notices.plain(call.sandbox, "folder.deleted", mailbox, data)
    return call.done()


_ALL = "/v3/grants/{grant_id}/folders"
_ONE = "/v3/grants/{grant_id}/folders/{folder_id}"
_SELECT: parameters.Spec = {"select": parameters.names}
ROUTES: list[Route] = [
    api(_ALL, list_folders, query=LIST_QUERY),
    api(_ALL, create_folder, method="POST", query=_SELECT),
    api(_ONE, get_folder, query=_SELECT),
    api(_ONE, update_folder, method="PUT", query=_SELECT),
    api(_ONE, delete_folder, method="DELETE"),
]
