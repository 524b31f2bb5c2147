"""Calendars and events: list in a window, get, create, change, delete, answer an invitation."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable
from typing import Any

import msgspec
from starlette.routing import Route

from sandbox import calendar_providers, notices, parameters
from sandbox.agenda import Agenda, Event, span
from sandbox.errors import bad_request, not_found
from sandbox.event_bodies import EventBody, check_zone, event_values
from sandbox.event_changes import answer_invitation, drop_event, new_event, store_event
from sandbox.mailboxes import opaque
from sandbox.routing import Answer, Call, api

MONTH = 31 * 86_400
_EVENT_TYPES = ("default", "outOfOffice", "focusTime", "workingLocation")

CALENDAR_LIST: parameters.Spec = {
    "limit": parameters.limit(200),
    "page_token": parameters.text,
    "select": parameters.names,
    "metadata_pair": parameters.metadata_pair,
}
EVENT_LIST: parameters.Spec = {
    **CALENDAR_LIST,
    "calendar_id": parameters.text,
    "start": parameters.integer,
    "end": parameters.integer,
    "title": parameters.text,
    "description": parameters.text,
    "location": parameters.text,
    "ical_uid": parameters.text,
    "busy": parameters.boolean,
    "attendees": parameters.addresses,
    "master_event_id": parameters.text,
    "event_type": parameters.one_of(*_EVENT_TYPES),
    "expand_recurring": parameters.boolean,
    "show_cancelled": parameters.boolean,
    "tentative_as_busy": parameters.boolean,
    "updated_after": parameters.integer,
    "updated_before": parameters.integer,
    "order_by": parameters.one_of("start"),
}
_OF_CALENDAR: parameters.Spec = {
    "calendar_id": parameters.text,
    "select": parameters.names,
    "tentative_as_busy": parameters.boolean,
}
_WRITE: parameters.Spec = {**_OF_CALENDAR, "notify_participants": parameters.boolean}


def _agenda(call: Call) -> Agenda:
    calendar_providers.require_calendars(call.grant.provider)
    return call.sandbox.agenda(call.grant.index)


def _selected(call: Call, data: dict[str, Any]) -> dict[str, Any]:
    select = call.params.get("select")
    data = {**data, "grant_id": call.grant.id}
    return {name: data[name] for name in data if not select or name in select}


def _calendar(call: Call, wanted: str | None) -> dict[str, Any]:
    if not wanted:
        raise bad_request("missing required query parameter 'calendar_id'")
    calendar_providers.check_calendar_id(call.grant.provider, wanted)
    calendar = _agenda(call).find_calendar(wanted)
    if calendar is None:
        raise not_found("calendar not found")
    return calendar


# --- calendars ------------------------------------------------------------------------------------


class CalendarBody(msgspec.Struct, forbid_unknown_fields=True):
    name: str | None = None
    description: str | None = None
    location: str | None = None
    timezone: str | None = None
    hex_color: str | None = None
    hex_foreground_color: str | None = None
    metadata: dict[str, str] | None = None


def list_calendars(call: Call) -> Answer:
    params = call.params
    calendars = list(_agenda(call).calendars.values())
    if pair := params.get("metadata_pair"):
        calendars = [c for c in calendars if c["metadata"].get(pair[0]) == pair[1]]
    start = parameters.integer("page_token", params.get("page_token", "0"))
    end = start + params.get("limit", 50)
    data = [_selected(call, calendar) for calendar in calendars[start:end]]
    return call.many(data, str(end) if end < len(calendars) else None)


def get_calendar(call: Call) -> Answer:
    return call.one(_selected(call, _calendar(call, call.path("calendar_id"))))


def _save_calendar(call: Call, calendar: dict[str, Any], trigger: str) -> Answer:
    index = call.grant.index
    call.sandbox.commit({"op": "calendar", "mailbox": index, "calendar": calendar})
    data = {**calendar, "grant_id": call.grant.id}
    notices.plain(call.sandbox, trigger, call.mailbox, data)
    return call.one(data)


def _given(body: CalendarBody) -> dict[str, Any]:
    if body.timezone is not None:
        check_zone(body.timezone)
    return {name: v for name, v in msgspec.to_builtins(body).items() if v is not None}


def create_calendar(call: Call) -> Answer:
    body, agenda = call.read(CalendarBody), _agenda(call)
    if not body.name:
        raise bad_request("name is required")
    number = secrets.randbits(63)
    google_id = f"c{number}@group.calendar.example"
    calendar = {
        **agenda.calendars[agenda.primary_id],
        "id": google_id if agenda.is_google else opaque("AAMkAC", number, call.grant.index),
        "is_primary": False,
        **_given(body),
    }
    return _save_calendar(call, calendar, "calendar.created")


def update_calendar(call: Call) -> Answer:
    calendar = _calendar(call, call.path("calendar_id"))
    changed = {**calendar, **_given(call.read(CalendarBody))}
    return _save_calendar(call, changed, "calendar.updated")


def delete_calendar(call: Call) -> Answer:
    calendar = _calendar(call, call.path("calendar_id"))
    if calendar["is_primary"]:
        raise bad_request("the primary calendar cannot be deleted")
    index = call.grant.index
    call.sandbox.commit({"op": "calendar-gone", "mailbox": index, "id": calendar["id"]})
    data = {"id": calendar["id"], "grant_id": call.grant.id, "object": "calendar"}
    notices.plain(call.sandbox, "calendar.deleted", call.mailbox, data)
    return call.done()


# --- events: reading ------------------------------------------------------------------------------


def _window(call: Call) -> tuple[int, int]:
    now = call.sandbox.now()
    start, end = call.params.get("start", now), call.params.get("end", now + MONTH)
    calendar_providers.check_window(call.grant.provider, start, end)
    return start, end


def _passes(event: Event, params: dict[str, Any]) -> bool:
    for name in ("title", "description", "location"):
        if name in params and params[name].casefold() not in (event[name] or "").casefold():
            return False
    if "busy" in params and event["busy"] is not params["busy"]:
        return False
    if event["status"] == "cancelled" and not params.get("show_cancelled", False):
        return False
    wanted = params.get("attendees")
    if wanted and not any(p.get("email", "").casefold() in wanted for p in event["participants"]):
        return False
    if "updated_after" in params and event["updated_at"] <= params["updated_after"]:
        return False
    if "updated_before" in params and event["updated_at"] >= params["updated_before"]:
        return False
    if pair := params.get("metadata_pair"):
        return bool(event["metadata"].get(pair[0]) == pair[1])
    return True


def _by_start(events: Iterable[Event]) -> list[Event]:
    return sorted(events, key=lambda event: (span(event)[0], event["id"]))


def _candidates(call: Call, calendar_id: str) -> list[Event]:
    params, agenda = call.params, _agenda(call)
    if ical_uid := params.get("ical_uid"):
        others = params.keys() - {"ical_uid", "calendar_id", "limit", "page_token", "select"}
        if others:
            raise bad_request(f"ical_uid cannot be combined with {', '.join(sorted(others))}")
        mine = [e for e in agenda.events.values() if e["calendar_id"] == calendar_id]
        return _by_start(e for e in mine if e["ical_uid"] == ical_uid)
    if "metadata_pair" in params:
        # From the API's own index: no window, nothing expanded.
        return _by_start(e for e in agenda.events.values() if e["calendar_id"] == calendar_id)
    start, end = _window(call)
    master = params.get("master_event_id")
    expand = params.get("expand_recurring", False) or master is not None
    found = agenda.within(calendar_id, start, end, expand=expand)
    if master is not None:
        found = [event for event in found if event.get("master_event_id") == master]
    if "default" not in params.get("event_type", {"default"}):
        return []  # only ordinary events are generated
    return found


def _page(call: Call, events: list[Event], limit: int) -> Answer:
    """Paging by the key (start, ID): an event made between two pages moves nothing."""
    if token := call.params.get("page_token"):
        after = _decode(token)
        events = [event for event in events if (span(event)[0], event["id"]) > after]
    page = events[:limit]
    cursor = None
    if len(events) > limit:
        key = f"{span(page[-1])[0]}/{page[-1]['id']}"
        cursor = base64.urlsafe_b64encode(key.encode()).decode()
    return call.many([_selected(call, event) for event in page], cursor)


def _decode(token: str) -> tuple[int, str]:
    try:
        start, _, event_id = base64.urlsafe_b64decode(token).decode().partition("/")
        return int(start), event_id
    except ValueError as error:
        raise bad_request(f"invalid page_token {token!r}") from error


def list_events(call: Call) -> Answer:
    calendar_providers.check_query(call.grant.provider, call.params)
    calendar = _calendar(call, call.params.get("calendar_id"))
    events = [e for e in _candidates(call, calendar["id"]) if _passes(e, call.params)]
    return _page(call, events, call.params.get("limit", 50))


def import_events(call: Call) -> Answer:
    """Masters, exceptions and single events, in no promised order."""
    calendar = _calendar(call, call.params.get("calendar_id"))
    start, end = _window(call)
    events = _agenda(call).within(calendar["id"], start, end, expand=False)
    return _page(call, events, call.params.get("limit", 50))


def _event(call: Call) -> Event:
    _calendar(call, call.params.get("calendar_id"))
    event = _agenda(call).find(call.path("event_id"))
    if event is None:
        raise not_found()
    return event


def get_event(call: Call) -> Answer:
    return call.one(_selected(call, _event(call)))


# --- events: writing ------------------------------------------------------------------------------


class RsvpBody(msgspec.Struct, forbid_unknown_fields=True):
    status: str


def _invite(call: Call, what: str, *versions: Event) -> None:
    """Write to the participants, if the client let it or the provider does so anyway; noted down.

    `versions` are the event before and after: who was taken out is told, too.
    """
    is_asked = call.params.get("notify_participants", True)
    if not is_asked and call.grant.provider not in calendar_providers.ALWAYS_NOTIFYING:
        return
    addresses = (p.get("email", "") for event in versions for p in event["participants"])
    told = [a for a in dict.fromkeys(addresses) if a and a != call.mailbox.persona.email]
    if told:
        _note_invitation(call, what, versions[-1], told)


def _note_invitation(call: Call, what: str, event: Event, told: list[str]) -> None:
    invitation = {
        "at": call.sandbox.now(),
        "mailbox": call.mailbox.persona.email,
        "what": what,
        "event_id": event["id"],
        "title": event["title"],
        "to": told,
    }
    call.sandbox.commit({"op": "invitation", "invitation": invitation})


def create_event(call: Call) -> Answer:
    calendar = _calendar(call, call.params.get("calendar_id"))
    if calendar["read_only"]:
        raise calendar_providers.read_only(call.grant.provider, "calendar")
    event = new_event(call.sandbox, call.grant.index, calendar["id"], call.read(EventBody))
    store_event(call.sandbox, call.grant.index, event)
    _invite(call, "created", event)
    return call.one(_selected(call, event))


def _writable(call: Call) -> Event:
    event = _event(call)
    calendar = _agenda(call).calendars[event["calendar_id"]]
    if calendar["read_only"] or event["read_only"]:
        raise calendar_providers.read_only(call.grant.provider, "event")
    return event


def update_event(call: Call) -> Answer:
    event, body = _writable(call), call.read(EventBody)
    if event["status"] == "cancelled":
        raise not_found("the event was deleted")
    changed = {
        **event,
        **event_values(_agenda(call), body),
        "updated_at": max(call.sandbox.clock(call.grant.index), event["updated_at"]),
    }
    store_event(call.sandbox, call.grant.index, changed)
    _invite(call, "updated", event, changed)
    return call.one(_selected(call, changed))


def delete_event(call: Call) -> Answer:
    event = _event(call)
    if _agenda(call).calendars[event["calendar_id"]]["read_only"]:
        raise calendar_providers.read_only(call.grant.provider, "calendar")
    if event["status"] == "cancelled" and _agenda(call).is_google:
        raise not_found("the event was deleted already")
    drop_event(call.sandbox, call.grant.index, event)
    _invite(call, "deleted", event)
    return call.done()


def send_rsvp(call: Call) -> Answer:
    event, body = _event(call), call.read(RsvpBody)
    address = call.mailbox.persona.email
    answer_invitation(call.sandbox, call.grant.index, event, address, body.status)
    _note_invitation(call, "answered", event, [event["organizer"]["email"]])
    return call.done()


_CALENDARS = "/v3/grants/{grant_id}/calendars"
_EVENTS = "/v3/grants/{grant_id}/events"
_EVENT = "/v3/grants/{grant_id}/events/{event_id}"
_SELECT: parameters.Spec = {"select": parameters.names}
_IMPORT: parameters.Spec = {
    "limit": parameters.limit(500),
    "page_token": parameters.text,
    "calendar_id": parameters.text,
    "start": parameters.integer,
    "end": parameters.integer,
    "select": parameters.names,
}
ROUTES: list[Route] = [
    api(_CALENDARS, list_calendars, query=CALENDAR_LIST),
    api(_CALENDARS, create_calendar, method="POST"),
    api(_CALENDARS + "/{calendar_id}", get_calendar, query=_SELECT),
    api(_CALENDARS + "/{calendar_id}", update_calendar, method="PUT", query=_SELECT),
    api(_CALENDARS + "/{calendar_id}", delete_calendar, method="DELETE"),
    api(_EVENTS, list_events, query=EVENT_LIST),
    api(_EVENTS, create_event, method="POST", query=_WRITE),
    api(_EVENTS + "/import", import_events, query=_IMPORT),
    api(_EVENT, get_event, query=_OF_CALENDAR),
    api(_EVENT, update_event, method="PUT", query=_WRITE),
    api(
        _EVENT,
        delete_event,
        method="DELETE",
        query={"calendar_id": parameters.text, "notify_participants": parameters.boolean},
    ),
    api(
        _EVENT + "/send-rsvp",
        send_rsvp,
        method="POST",
        query={"calendar_id": parameters.text, "skip_nylas_email": parameters.boolean},
    ),
]
