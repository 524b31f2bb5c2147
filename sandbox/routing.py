"""The frame around every endpoint: key, grant, query and body are checked here, once.

An endpoint is a function of one `Call` that returns a dictionary (answered as JSON with the
request's ID) or a response. What is wrong is raised as an `ApiError` or `OAuthError`.
"""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.errors import (
    ApiError,
    OAuthError,
    bad_request,
    grant_expired,
    unauthorized,
)
from sandbox.mailboxes import Mailbox
from sandbox.parameters import Spec, read_query
from sandbox.state import API_KEY, Grant, Sandbox

T = TypeVar("T")
Answer = dict[str, Any] | Response
Endpoint = Callable[["Call"], Answer | Awaitable[Answer]]
_encode = msgspec.json.Encoder().encode


class Call:
    """One request on its way to an endpoint."""

    __slots__ = ("_grant", "body", "params", "request", "request_id", "sandbox")

    def __init__(self, sandbox: Sandbox, request: Request, params: dict[str, Any]) -> None:
        self.sandbox = sandbox
        self.request = request
        self.params = params
        self.request_id = str(uuid.uuid4())
        self.body = b""
        self._grant: Grant | None = None

    @property
    def grant(self) -> Grant:
        assert self._grant is not None, "only for routes below /v3/grants/{grant_id}"
        return self._grant

    @property
    def mailbox(self) -> Mailbox:
        return self.sandbox.mailbox(self.grant.index)

    def path(self, name: str) -> str:
        return str(self.request.path_params[name])

    def read(self, kind: type[T]) -> T:
        """The JSON body as a struct; unknown fields and wrong types are a 400."""
        if self.request.headers.get("content-type", "").split(";")[0].strip().lower() != (
            "application/json"
        ):
            raise bad_request("the Content-Type header must be application/json")
        try:
            return msgspec.json.decode(self.body, type=kind)
        except msgspec.DecodeError as error:
            raise bad_request(f"error parsing request body: {error}") from error

    def one(self, data: Any) -> dict[str, Any]:
        return {"request_id": self.request_id, "data": data}

    def many(self, data: list[Any], next_cursor: str | None = None) -> dict[str, Any]:
        answer = {"request_id": self.request_id, "data": data}
        if next_cursor is not None:
            answer["next_cursor"] = next_cursor
        return answer

    def done(self) -> dict[str, Any]:
        return {"request_id": self.request_id}


def json_response(
    content: Any, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    return Response(_encode(content), status, headers, media_type="application/json")


def check_key(call: Call) -> str | None:
    """Refuse a missing or wrong key. Returns the grant's ID where the key is an access token."""
    scheme, _, key = call.request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise unauthorized()
    if key == API_KEY:
        return None
    tokens = call.request.app.state.tokens
    if (grant_id := tokens.grant_for(key)) is None:
        raise unauthorized()
    return str(grant_id)


def _resolve_grant(call: Call, token_grant: str | None, *, must_be_valid: bool) -> None:
    wanted = call.path("grant_id")
    if wanted == "me" and token_grant is not None:
        wanted = token_grant
    grant = call.sandbox.find_grant(wanted)
    if grant is None:
        raise ApiError(404, "grant.not_found", f"No Grant found with ID {wanted}")
    if token_grant is not None and grant.id != token_grant:
        raise unauthorized()
    if must_be_valid and grant.grant_status != "valid":
        raise grant_expired()
    call._grant = grant


def api(
    path: str,
    endpoint: Endpoint,
    *,
    method: str = "GET",
    query: Spec | None = None,
    needs_key: bool = True,
    needs_valid_grant: bool = True,
) -> Route:
    """A route of the imitated API. `query` lists the parameters it takes: no others pass."""
    spec = query or {}
    has_body = method in ("POST", "PUT", "PATCH")
    has_grant = "{grant_id}" in path

    async def answer(request: Request) -> Response:
        request.scope["sandbox.template"] = path
        call = Call(request.app.state.sandbox, request, {})
        try:
            token_grant = check_key(call) if needs_key else None
            if has_grant:
                _resolve_grant(call, token_grant, must_be_valid=needs_valid_grant)
            elif token_grant is not None:
                raise unauthorized()
            call.params = read_query(request.query_params.multi_items(), spec)
            if has_body:
                call.body = await request.body()
            result = endpoint(call)
            if inspect.isawaitable(result):
                result = await result
        except ApiError as error:
            return json_response(error.body(call.request_id), error.status, error.headers)
        except OAuthError as error:
            return json_response(error.body(), error.status)
        return result if isinstance(result, Response) else json_response(result)

    return Route(path, answer, methods=[method])


async def http_exception(request: Request, error: Exception) -> Response:
    """Unknown paths and methods, in the API's shape."""
    assert isinstance(error, HTTPException)
    kind = {404: "not_found_error", 405: "method_not_allowed"}.get(error.status_code, "api_error")
    body = ApiError(error.status_code, kind, error.detail).body(str(uuid.uuid4()))
    return json_response(body, error.status_code, dict(error.headers or {}))
