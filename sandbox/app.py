"""The application: all routes behind the gate that counts requests and lets faults in."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from sandbox import auth, calendars, control, folders, grants, messages, outgoing, threads, webhooks
from sandbox.faults import Faults, Gate, RequestLog
from sandbox.routing import http_exception
from sandbox.state import Sandbox


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
        ],
        exception_handlers={HTTPException: http_exception},
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
    return Gate(app, sandbox, faults, log)
