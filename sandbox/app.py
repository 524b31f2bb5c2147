"""The application: all routes behind the gate that counts requests and lets faults in."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from sandbox import (
    auth,
    calendar_switches,
    calendars,
    control,
    folders,
    gmail,
    gmail_batch,
    google_auth,
    google_control,
    grants,
    messages,
    outgoing,
    threads,
    webhooks,
)
from sandbox.faults import Faults, Gate, RequestLog
from sandbox.google_errors import is_google
from sandbox.google_routing import MethodOverride, not_found_page
from sandbox.routing import http_exception
from sandbox.state import Sandbox


async def _lost(request: Request, error: Exception) -> Response:
    """An address or method that nobody has, in the words of whom it was meant for."""
    path = request.url.path
    return not_found_page(path) if is_google(path) else await http_exception(request, error)


def make_app(sandbox: Sandbox, callbacks: frozenset[str] = frozenset()) -> ASGIApp:
    """`callbacks`: the registered redirect URIs; empty allows any absolute one."""
    app = Starlette(
        # Messages first: the router tries its routes in order, and these are asked most.
        routes=[
            *outgoing.ROUTES,  # before messages: "send" is no message ID
            *messages.ROUTES,
            *folders.ROUTES,
            *threads.ROUTES,
            *calendars.ROUTES,
            *grants.ROUTES,
            *auth.ROUTES,
            *webhooks.ROUTES,
            *control.ROUTES,
            *calendar_switches.ROUTES,
            *gmail.ROUTES,
            *gmail_batch.ROUTES,
            *google_auth.ROUTES,
            *google_control.ROUTES,
        ],
        exception_handlers={HTTPException: _lost},
    )
    faults, log = Faults(), RequestLog()
    hooks = webhooks.Hooks(sandbox, faults)
    sandbox.outbox = hooks
    app.state.sandbox = sandbox
    app.state.tokens = auth.Tokens(sandbox)
    app.state.callbacks = callbacks
    app.state.faults = faults
    app.state.requests = log
    app.state.hooks = hooks
    gate = Gate(MethodOverride(app), sandbox, faults, log)
    app.state.gate = gate
    return gate
