"""The switches of the calendars: what the user does in the mail app, and what is there in truth."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox import event_changes
from sandbox.agenda import Agenda, Event, span
from sandbox.control import fill_parties, find_mailbox, switch
from sandbox.errors import ApiError, bad_request, not_found
from sandbox.event_bodies import EventBody, event_values
from sandbox.grants import PROVIDERS
from sandbox.routing import json_response
from sandbox.state import Sandbox
from sandbox.world import Party


class MakeEvent(msgspec.Struct, forbid_unknown_fields=True):
    """An event as if made in the mail app, or an invitation where somebody else organises it."""

    mailbox: str
    event: EventBody
    organizer: Party | None = None
    calendar_id: str = "primary"


class OfEvent(msgspec.Struct, forbid_unknown_fields=True):
    mailbox: str
    id: str
    event: EventBody | None = None
    participant: str | None = None
    status: str | None = None


class SetProvider(msgspec.Struct, forbid_unknown_fields=True):
    mailbox: str
    provider: str


class SetSkew(msgspec.Struct, forbid_unknown_fields=True):
    mailbox: str
    seconds: int


class SetCalendar(msgspec.Struct, forbid_unknown_fields=True):
    """What the user may do to a calendar; `read_only` as its owner would, who shared it."""

    mailbox: str
    calendar_id: str
    name: str | None = None
    read_only: bool | None = None


# --- what the user does ---------------------------------------------------------------------------


def _find_event(sandbox: Sandbox, wish: OfEvent) -> tuple[int, Event]:
    index = find_mailbox(sandbox, wish.mailbox).index
    event = sandbox.agenda(index).find(wish.id)
    if event is None:
        raise not_found(f"no event {wish.id!r} in this mailbox")
    return index, event


def _find_calendar(agenda: Agenda, wanted: str) -> dict[str, Any]:
    """By ID, by name, or "primary"."""
    by_name = (c for c in agenda.calendars.values() if c["name"].casefold() == wanted.casefold())
    calendar = agenda.find_calendar(wanted) or next(by_name, None)
    if calendar is None:
        raise not_found(f"no calendar {wanted!r}")
    return calendar


def make_event(sandbox: Sandbox, wish: MakeEvent) -> Event:
    index = find_mailbox(sandbox, wish.mailbox).index
    calendar = _find_calendar(sandbox.agenda(index), wish.calendar_id)
    organizer = fill_parties([wish.organizer])[0] if wish.organizer else None
    event = event_changes.new_event(sandbox, index, calendar["id"], wish.event, organizer)
    event["read_only"] = organizer is not None
    event_changes.store_event(sandbox, index, event)
    return event


def change_event(sandbox: Sandbox, wish: OfEvent) -> Event:
    """Edit an event, whoever organises it; or let a participant answer."""
    index, event = _find_event(sandbox, wish)
    if wish.participant is not None:
        status = wish.status or "yes"
        event_changes.answer_invitation(sandbox, index, event, wish.participant, status)
        event = sandbox.agenda(index).find(wish.id) or event
    values = event_values(sandbox.agenda(index), wish.event) if wish.event else {}
    if wish.status is not None and wish.participant is None:
        if wish.status not in ("confirmed", "cancelled", "maybe"):
            raise bad_request("status must be confirmed, cancelled or maybe")
        values["status"] = wish.status
    if values:
        changed = {**event, **values, "updated_at": sandbox.clock(index)}
        event_changes.store_event(sandbox, index, changed)
    return sandbox.agenda(index).find(wish.id) or {}


def delete_event(sandbox: Sandbox, wish: OfEvent) -> dict[str, Any]:
    index, event = _find_event(sandbox, wish)
    event_changes.drop_event(sandbox, index, event)
    left = sandbox.agenda(index).find(wish.id)
    return {"id": wish.id, "status": left["status"] if left else "gone"}


def change_calendar(sandbox: Sandbox, wish: SetCalendar) -> dict[str, Any]:
    index = find_mailbox(sandbox, wish.mailbox).index
    calendar = dict(_find_calendar(sandbox.agenda(index), wish.calendar_id))
    calendar["name"] = wish.name or calendar["name"]
    if wish.read_only is not None:
        calendar |= {"read_only": wish.read_only, "is_owned_by_user": not wish.read_only}
    sandbox.commit({"op": "calendar", "mailbox": index, "calendar": calendar})
    return calendar


# --- what the provider is like --------------------------------------------------------------------


def set_provider(sandbox: Sandbox, wish: SetProvider) -> dict[str, Any]:
    if wish.provider not in PROVIDERS:
        raise bad_request(f"unknown provider {wish.provider!r}; one of: {', '.join(PROVIDERS)}")
    index = find_mailbox(sandbox, wish.mailbox).index
    sandbox.commit({"op": "provider", "mailbox": index, "provider": wish.provider})
    return {"mailbox": wish.mailbox, "provider": wish.provider}


def set_skew(sandbox: Sandbox, wish: SetSkew) -> dict[str, Any]:
    index = find_mailbox(sandbox, wish.mailbox).index
    sandbox.commit({"op": "skew", "mailbox": index, "seconds": wish.seconds})
    return {"mailbox": wish.mailbox, "now": sandbox.clock(index)}


# --- what is there --------------------------------------------------------------------------------


def truth_events(sandbox: Sandbox, query: dict[str, str]) -> dict[str, Any]:
    """Every event as it stands, cancelled ones too; with a window, series expanded in it."""
    agenda = sandbox.agenda(find_mailbox(sandbox, query.get("mailbox", "")).index)
    wanted = query.get("calendar")
    calendars = [_find_calendar(agenda, wanted)] if wanted else list(agenda.calendars.values())
    data = []
    for calendar in calendars:
        if "start" in query and "end" in query:
            start, end = int(query["start"]), int(query["end"])
            found = agenda.within(calendar["id"], start, end, expand=True)
        else:
            found = [e for e in agenda.events.values() if e["calendar_id"] == calendar["id"]]
        data += [{**event, "calendar_name": calendar["name"]} for event in found]
    return {"data": sorted(data, key=lambda event: (span(event)[0], event["id"]))}


async def show_truth_events(request: Request) -> Response:
    try:
        return json_response(truth_events(request.app.state.sandbox, dict(request.query_params)))
    except ApiError as error:
        return json_response({"error": error.message}, error.status)
    except ValueError as error:
        return json_response({"error": str(error)}, 400)


async def show_invitations(request: Request) -> Response:
    """Whom a provider wrote to because of what a client did, oldest first."""
    wanted = request.query_params.get("mailbox", "").casefold()
    invitations = request.app.state.sandbox.invitations
    return json_response(
        {"data": [i for i in invitations if not wanted or i["mailbox"].casefold() == wanted]}
    )


ROUTES: list[Route] = [
    Route("/sandbox/truth-events", show_truth_events),
    Route("/sandbox/notifications", show_invitations),
    switch("/sandbox/event", MakeEvent, make_event),
    switch("/sandbox/event-change", OfEvent, change_event),
    switch("/sandbox/event-delete", OfEvent, delete_event),
    switch("/sandbox/calendar-change", SetCalendar, change_calendar),
    switch("/sandbox/provider", SetProvider, set_provider),
    switch("/sandbox/clock", SetSkew, set_skew),
]
