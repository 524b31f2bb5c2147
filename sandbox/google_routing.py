"""The frame around every Gmail method: token, scope, account, query and body are checked here."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox import gmail_fields
from sandbox.gmail_mailbox import GmailMailbox
from sandbox.google_accounts import ALL_MAIL, LABELS, METADATA, MODIFY, READONLY, Access, Google
from sandbox.google_errors import (
    GoogleError,
    TokenError,
    bad_credentials,
    missing_scope,
    no_credentials,
    unreadable,
)
from sandbox.state import Sandbox

T = TypeVar("T")
Reader = Callable[[str, str], Any]
_encode = msgspec.json.Encoder().encode

# Which scopes open what; wider ones include the narrower.
MAY_LIST = frozenset({READONLY, MODIFY, METADATA, ALL_MAIL})
MAY_READ = frozenset({READONLY, MODIFY, ALL_MAIL})
MAY_SEE_LABELS = frozenset({LABELS, READONLY, MODIFY, METADATA, ALL_MAIL})
MAY_MAKE_LABELS = frozenset({LABELS, MODIFY, ALL_MAIL})
MAY_CHANGE = frozenset({MODIFY, ALL_MAIL})


class Parameter(NamedTuple):
    read: Reader
    is_repeated: bool = False


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda found: "_" + found[0].lower(), name)


def wrong_value(name: str, kind: str, value: str) -> GoogleError:
    field = _snake(name)
    return unreadable(f"Invalid value at '{field}' ({kind}), \"{value}\"", field)


def text(name: str, value: str) -> str:
    return value


def uint32(name: str, value: str) -> int:
    if not re.fullmatch(r"\d{1,10}", value) or int(value) >= 1 << 32:
        raise wrong_value(name, "TYPE_UINT32", value)
    return int(value)


def uint64(name: str, value: str) -> int:
    if not re.fullmatch(r"\d{1,20}", value) or int(value) >= 1 << 64:
        raise wrong_value(name, "TYPE_UINT64", value)
    return int(value)


def boolean(name: str, value: str) -> bool:
    if value not in ("true", "false"):
        raise wrong_value(name, "TYPE_BOOL", value)
    return value == "true"


def one_of(kind: str, *choices: str) -> Reader:
    def read(name: str, value: str) -> str:
        # Enumerations are taken in capitals as well.
        found = {choice.casefold(): choice for choice in choices}.get(value.casefold())
        if found is None:
            raise wrong_value(name, kind, value)
        return found

    return read


_COMMON: dict[str, Parameter] = {
    "alt": Parameter(one_of("type.googleapis.com/google.api.alt", "json")),
    "fields": Parameter(text),
    "prettyPrint": Parameter(boolean),
    "$.xgafv": Parameter(one_of("type.googleapis.com/google.api.xgafv", "1", "2")),
    **{
        name: Parameter(text)
        for name in (
            "access_token", "oauth_token", "callback", "key", "quotaUser", "uploadType",
            "upload_protocol",
        )
    },
}  # fmt: skip


def read_query(items: list[tuple[str, str]], spec: dict[str, Parameter]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in items:
        parameter = spec.get(name) or _COMMON.get(name)
        if parameter is None:
            raise unreadable(
                f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query '
                f"parameter. Field '{name}' could not be found in request message."
            )
        found = parameter.read(name, value)
        if parameter.is_repeated:
            values.setdefault(name, []).append(found)
        else:
            values[name] = found
    return values


class GmailCall:
    """One request on its way to a method of Gmail."""

    __slots__ = ("access", "body", "google", "mailbox", "params", "request", "sandbox")

    def __init__(self, request: Request, access: Access) -> None:
        self.sandbox: Sandbox = request.app.state.sandbox
        self.google: Google = self.sandbox.google
        self.request = request
        self.access = access
        self.mailbox: GmailMailbox = self.google.mailbox(access.account)
        self.params: dict[str, Any] = {}
        self.body = b""

    def path(self, name: str) -> str:
        return str(self.request.path_params[name])

    def commit(self, op: str, **values: Any) -> None:
        self.sandbox.commit({"op": op, "account": self.access.account, **values})

    def read(self, kind: type[T]) -> T:
        """The JSON body; unknown names and wrong types are a 400."""
        content_type = self.request.headers.get("content-type", "").split(";")[0].strip().lower()
        if self.body and content_type != "application/json":
            raise unreadable(f"Invalid content type: {content_type}")
        try:
            return msgspec.json.decode(self.body or b"{}", type=kind)
        except msgspec.ValidationError as error:
            raise unreadable(f"Invalid JSON payload received. {error}") from error
        except msgspec.DecodeError as error:
            raise unreadable(f"Invalid JSON payload received. Parse error: {error}") from error


Endpoint = Callable[[GmailCall], dict[str, Any] | None]


def json_answer(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(_encode(content), status, headers, media_type="application/json; charset=UTF-8")


def error_answer(error: GoogleError | TokenError) -> Response:
    return json_answer(error.body(), error.status, error.headers)


def bearer(request: Request) -> Access:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.casefold() != "bearer" or not token.strip():
        raise no_credentials()
    access: Access | None = request.app.state.sandbox.google.access_of(token.strip())
    if access is None:
        raise bad_credentials()
    return access


def _check_account(call: GmailCall) -> None:
    wanted = call.path("userId")
    if wanted != "me" and wanted.casefold() != call.access.account:
        raise GoogleError(403, "forbidden", f"Delegation denied for {call.access.account}")


def gmail(
    path: str,
    endpoint: Endpoint,
    *,
    scopes: frozenset[str],
    method: str = "GET",
    query: dict[str, Parameter] | None = None,
) -> Route:
    """A method of Gmail. An endpoint that returns None is answered with 204."""
    path = "/gmail/v1/users/{userId}" + path

    async def answer(request: Request) -> Response:
        request.scope["sandbox.template"] = path
        try:
            call = GmailCall(request, bearer(request))
            if not scopes & call.access.scopes:
                raise missing_scope()
            _check_account(call)
            call.params = read_query(request.query_params.multi_items(), query or {})
            mask = gmail_fields.read(fields) if (fields := call.params.get("fields")) else {}
            if method == "POST":
                call.body = await request.body()
            result = endpoint(call)
        except GoogleError as error:
            return error_answer(error)
        if result is None:
            return Response(status_code=204)
        return json_answer(gmail_fields.apply(mask, result))

    return Route(path, answer, methods=[method])


class MethodOverride:
    """A GET whose address would be too long comes as a POST with the query in its body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/gmail/"):
            headers = dict(scope["headers"])
            wanted = headers.get(b"x-http-method-override", b"").upper()
            if scope["method"] == "POST" and wanted == b"GET":
                scope["query_string"] = await Request(scope, receive).body()
                scope["method"] = "GET"
        await self._app(scope, receive, send)


def not_found_page(path: str) -> Response:
    """What Google's front end says of an address that no method has."""
    return HTMLResponse(
        "<!DOCTYPE html><html lang=en><title>Error 404 (Not Found)!!1</title><p><b>404.</b> "
        "That's an error.<p>The requested URL was not found on this server. That's all we know.",
        404,
    )
