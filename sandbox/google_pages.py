"""Google's consent page and its error page, and Google's part of the page of switches."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.responses import Response

from sandbox import forwarding, templating
from sandbox.forwarding_words import LANGUAGES
from sandbox.gmail_letters import AUTHENTICATIONS
from sandbox.google_accounts import INTAKE, NAMES, SCOPES
from sandbox.google_errors import GOOGLE_KINDS

if TYPE_CHECKING:
    from sandbox.state import Sandbox

# --- consent --------------------------------------------------------------------------------------


def _account(email: str, name: str, is_chosen: bool, is_known: bool) -> str:
    checked = " checked" if is_chosen else ""
    known = " · has allowed it before" if is_known else ""
    return (
        f'<label class="choice"><input type="radio" name="account" value="{escape(email)}"'
        f"{checked}><span>{escape(name)}<small>{escape(email)}{known}</small></span></label>"
    )


def _box(scope: str) -> str:
    return (
        f'<label class="choice"><input type="checkbox" name="scope" value="{escape(scope)}" '
        f"checked><span>{escape(SCOPES[scope])}<small>{escape(scope)}</small></span></label>"
    )


def consent(params: dict[str, str], scopes: list[str], known: set[str]) -> Response:
    hint = params.get("login_hint", "").strip().casefold()
    chosen = hint if hint in NAMES else next(iter(NAMES))
    warning = ""
    if hint and hint not in NAMES:
        warning = f'<p class="note">{escape(hint)} is not an account of this sandbox.</p>'
    boxes = "".join(_box(scope) for scope in scopes)
    return templating.page(
        "google_consent.html",
        host=escape(urlsplit(params["redirect_uri"]).netloc),
        warning=warning,
        accounts="".join(
            _account(email, name, email == chosen, email in known) for email, name in NAMES.items()
        ),
        scopes=boxes or '<p class="soft">Nothing but your name and address.</p>',
    )


def refused(error: str, description: str, status: int) -> Response:
    return templating.page(
        "google_refused.html",
        status=status,
        code=status,
        error=escape(error),
        description=escape(description),
    )


# --- on the page of switches ----------------------------------------------------------------------


def _options(choices: Iterable[str]) -> str:
    return "".join(f"<option>{escape(choice)}</option>" for choice in choices)


def _button(action: str, account: str, word: str) -> str:
    return (
        f'<form method="post" action="/sandbox/google/page/{action}"><input type="hidden" '
        f'name="account" value="{escape(account)}"><button class="quiet">{word}</button></form>'
    )


def _row(sandbox: Sandbox, account: str, name: str) -> str:
    mailbox, consent = sandbox.google.mailbox(account), sandbox.google.consents.get(account)
    state = '<span class="soft">no consent</span>'
    buttons = _button("expire-history", account, "Expire history")
    if consent is not None:
        names = ", ".join(scope.rpartition("/")[2] for scope in consent.scopes)
        state = f'<span class="good">consented</span> <code class="soft">{escape(names)}</code>'
        buttons += _button("expire-tokens", account, "Expire tokens")
        buttons += _button("revoke", account, "Revoke consent")
    return (
        f'<tr><td>{escape(name)}</td><td><a href="/sandbox/google/truth?account={escape(account)}">'
        f"{escape(account)}</a></td><td>{len(mailbox.messages):,} messages<br>"
        f"<span class=soft>history {mailbox.history_id}</span></td><td>{state}</td>"
        f"<td>{buttons}</td></tr>"
    )


def section(sandbox: Sandbox) -> str:
    settings = sandbox.google.settings
    return templating.fragment(
        "google_section.html",
        accounts="".join(_row(sandbox, account, name) for account, name in NAMES.items()),
        padding="with" if settings.padding else "without",
        other="without" if settings.padding else "with",
        intake=escape(INTAKE),
        rep=escape(sandbox.world.persona(1 % sandbox.world.size).email),
        clients="".join(
            f'<option value="{client}">{word}</option>'
            for client, word in zip(
                forwarding.CLIENTS, ("Gmail", "Outlook", "Apple Mail"), strict=True
            )
        ),
        languages=_options(LANGUAGES),
        quotas=_options((*GOOGLE_KINDS, "429")),
        authentications=_options(a for a in AUTHENTICATIONS if a != "as-is"),
    )
