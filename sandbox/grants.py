"""Grants: list with offsets, get, change, delete."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.routing import Route

from sandbox import happenings, parameters
from sandbox.errors import bad_request
from sandbox.routing import Answer, Call, api
from sandbox.state import CLIENT_ID, Grant

DEFAULT_LIMIT, MAX_LIMIT = 10, 200
PROVIDERS = (
    "google", "microsoft", "imap", "icloud", "yahoo", "ews", "virtual-calendar", "zoom", "nylas",
)  # fmt: skip


def _offset(name: str, value: str) -> int:
    number = parameters.integer(name, value)
    if number < 0:
        raise bad_request(f"query parameter {name!r} must not be negative")
    return number


LIST_QUERY: parameters.Spec = {
    "limit": parameters.limit(MAX_LIMIT),
    "offset": _offset,
    "sort_by": parameters.one_of("created_at", "updated_at"),
    "order_by": parameters.one_of("asc", "desc"),
    "since": parameters.integer,
    "before": parameters.integer,
    "email": parameters.text,
    "grant_status": parameters.one_of("valid", "invalid"),
    "provider": parameters.one_of(*PROVIDERS),
    "ip": parameters.text,
    "account_id": parameters.text,
    "account_ids": parameters.text,
    "workspace_id": parameters.text,
}


def written(grant: Grant) -> dict[str, Any]:
    return {
        "id": grant.id,
        "provider": grant.provider,
        "grant_status": grant.grant_status,
        "email": grant.email,
        "name": grant.name,
        "scope": grant.scope,
        "user_agent": grant.user_agent,
        "ip": grant.ip,
        "state": grant.state,
        "created_at": grant.created_at,
        "updated_at": grant.updated_at,
        "provider_user_id": f"{grant.index:012d}",
        "settings": grant.settings,
        "blocked": False,
    }


def list_grants(call: Call) -> Answer:
    params = call.params
    found = [
        grant
        for grant in call.sandbox.grants.values()
        if grant.grant_status == params.get("grant_status", grant.grant_status)
        and grant.provider == params.get("provider", grant.provider)
        and grant.email.casefold() == params.get("email", grant.email).casefold()
        and grant.ip == params.get("ip", grant.ip)
        and grant.created_at >= params.get("since", 0)
        and grant.created_at <= params.get("before", grant.created_at)
        and not params.keys() & {"account_id", "account_ids", "workspace_id"}
    ]
    key = params.get("sort_by", "created_at")
    descending = params.get("order_by", "desc") == "desc"
    found.sort(key=lambda grant: (getattr(grant, key), grant.id), reverse=descending)
    limit, offset = params.get("limit", DEFAULT_LIMIT), params.get("offset", 0)
    answer = call.many([written(grant) for grant in found[offset : offset + limit]])
    return {**answer, "limit": limit, "offset": offset}


def get_grant(call: Call) -> Answer:
    return call.one(written(call.grant))


class GrantUpdate(msgspec.Struct, forbid_unknown_fields=True):
    settings: dict[str, Any] | None = None
    scope: list[str] | None = None


def update_grant(call: Call) -> Answer:
    body, grant = call.read(GrantUpdate), call.grant
    changed = msgspec.structs.replace(
        grant,
        settings=grant.settings if body.settings is None else body.settings,
        scope=grant.scope if body.scope is None else body.scope,
    )
    call.sandbox.commit({"op": "grant", "grant": msgspec.to_builtins(changed)})
    return call.one(written(changed))


def delete_grant(call: Call) -> Answer:
    happenings.revoke(call.sandbox, call.grant)
    return call.done()


def get_application(call: Call) -> Answer:
    return call.one(
        {
            "application_id": CLIENT_ID,
            "organization_id": "sandbox-organization",
            "region": "us",
            "environment": "sandbox",
            "branding": {"name": "North Sound CRM"},
            "callback_uris": [],
        }
    )


_ONE = "/v3/grants/{grant_id}"
ROUTES: list[Route] = [
    api("/v3/grants", list_grants, query=LIST_QUERY),
    api(_ONE, get_grant, query={"expose_aliases": parameters.boolean}, needs_valid_grant=False),
    api(_ONE, update_grant, method="PATCH", needs_valid_grant=False),
    api(_ONE, update_grant, method="PUT", needs_valid_grant=False),
    api(_ONE, delete_grant, method="DELETE", needs_valid_grant=False),
    api("/v3/applications", get_application),
]
