"""The two pages: consent, and the sandbox's own page of switches. Plain HTML, no script."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import Response

from sandbox import google_pages
from sandbox.faults import KINDS, Fault
from sandbox.state import Sandbox
from sandbox.templating import page
from sandbox.world import Persona

SHOWN_PERSONAS = 50
_PROVIDER_NAMES = {"google": "Google", "microsoft": "Microsoft"}


# --- consent --------------------------------------------------------------------------------------


def _account(persona: Persona, is_chosen: bool, is_granted: bool) -> str:
    checked = " checked" if is_chosen else ""
    known = " · authorised before" if is_granted else ""
    return (
        f'<label class="choice"><input type="radio" name="email" value="{escape(persona.email)}"'
        f"{checked}><span>{escape(persona.name)}<small>{escape(persona.email)}{known}</small>"
        "</span></label>"
    )


def _scope_lines(scope: str) -> list[str]:
    lines = ["See your email messages and folders"]
    if "modify" in scope or "send" in scope.casefold() or not scope or "ReadWrite" in scope:
        lines.append("Send email for you")
    if "calendar" in scope.casefold() or not scope:
        lines.append("See and change the events of your calendars")
    lines.append("Know your name and address")
    return lines


def consent(
    *,
    params: dict[str, Any],
    providers: list[str],
    personas: list[Persona],
    hint: str,
    is_cut: bool,
    granted: set[int],
) -> Response:
    hinted = hint.strip().casefold()
    known = [p for p in personas if hinted in (p.email.casefold(), *p.aliases)] if hinted else []
    chosen = known[0] if known else (personas[0] if personas else None)
    warning = ""
    if hinted and not known:
        where = " or ".join(_PROVIDER_NAMES.get(p, p) for p in providers) or "this world"
        warning = f'<p class="note">{escape(hint)} is not an account of {escape(where)}.</p>'
    other = ""
    if is_cut:
        other = '<label>Another account <input name="other" type="email"></label>'
    name = " or ".join(_PROVIDER_NAMES.get(p, p) for p in providers) or "Your mail"
    return page(
        "consent.html",
        provider_name=escape(name),
        host=escape(urlsplit(params["redirect_uri"]).netloc),
        warning=warning,
        accounts="".join(_account(p, p is chosen, p.index in granted) for p in personas)
        or '<p class="note">This world has no account of that provider.</p>',
        other=other,
        scopes="".join(f"<li>{line}</li>" for line in _scope_lines(params.get("scope", ""))),
    )


# --- the page of switches -------------------------------------------------------------------------


def _button(action: str, email: str, word: str) -> str:
    return (
        f'<form method="post" action="/sandbox/page/{action}"><input type="hidden" name="mailbox"'
        f' value="{escape(email)}"><button class="quiet">{word}</button></form>'
    )


def _persona_row(sandbox: Sandbox, persona: Persona) -> str:
    grant = sandbox.grant_of(persona.index)
    if grant is None:
        state = '<span class="soft">not authorised</span>'
        action = _button("grant", persona.email, "Authorise")
    elif grant.grant_status == "valid":
        state = f'<span class="good">valid</span> <code class="soft">{grant.id}</code>'
        action = _button("expire", persona.email, "Expire")
    else:
        state = f'<span class="bad">expired</span> <code class="soft">{grant.id}</code>'
        action = _button("grant", persona.email, "Authorise again")
    aliases = "".join(f"<br><span class=soft>{escape(a)}</span>" for a in persona.aliases)
    return (
        f"<tr><td>{escape(persona.name)}<br><span class=soft>{persona.username}, {persona.role}"
        f'</span></td><td><a href="/sandbox/truth?limit=50&amp;mailbox={escape(persona.email)}">'
        f"{escape(persona.email)}</a>{aliases}</td>"
        f"<td>{_PROVIDER_NAMES[persona.provider]}</td><td>{state}</td><td>{action}</td></tr>"
    )


def _fault_list(faults: Iterable[Fault]) -> str:
    lines = [
        f"<li><code>{escape(fault.kind)}</code> "
        + (f"for <code>{escape(fault.path)}</code> " if fault.path else "")
        + (f"in {escape(fault.mailbox)} " if fault.mailbox else "")
        + ("always" if fault.times is None else f"{fault.times} more")
        + f" <span class=soft>(used {fault.used})</span></li>"
        for fault in faults
    ]
    return f"<ul>{''.join(lines)}</ul>" if lines else '<p class="soft">None are set.</p>'


def _webhook_list(sandbox: Sandbox) -> str:
    lines = [
        f"<li><code>{escape(hook.webhook_url)}</code> {hook.status}<br>"
        f"<span class=soft>{escape(', '.join(hook.trigger_types))}</span></li>"
        for hook in sandbox.webhooks.values()
    ]
    return f"<ul>{''.join(lines)}</ul>" if lines else '<p class="soft">None are registered.</p>'


def home(sandbox: Sandbox, faults: Iterable[Fault], done: str) -> Response:
    world = sandbox.world
    personas = [world.persona(n) for n in range(min(world.size, SHOWN_PERSONAS))]
    rest = world.size - len(personas)
    contacts = [
        party
        for company in world.customers[:SHOWN_PERSONAS]
        for contact in company.contacts
        for party in contact.parties
    ]
    return page(
        "home.html",
        mailboxes=f"{world.size:,}",
        messages=f"{world.messages:,}",
        seed=world.seed,
        anchor=datetime.fromtimestamp(world.anchor, UTC).strftime("%-d %B %Y %H:%M UTC"),
        done=f'<p class="note" role="status">{escape(done)}</p>' if done else "",
        shown=f" (the first {len(personas)} of {world.size:,})" if rest else "",
        personas="".join(_persona_row(sandbox, persona) for persona in personas),
        first=escape(personas[0].email),
        kinds="".join(f"<option>{kind}</option>" for kind in KINDS),
        faults=_fault_list(faults),
        webhooks=_webhook_list(sandbox),
        google=google_pages.section(sandbox),
        addresses="".join(f'<option value="{escape(p.email)}">' for p in personas),
        contacts="".join(
            f'<option value="{escape(p["email"])}">{escape(p["name"])}</option>' for p in contacts
        ),
    )
