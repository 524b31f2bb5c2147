"""Calendars and events: list in a window, get, create, change, delete, answer an invitation."""

from __future__ import annotations

import base64
import secrets
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from starlette.routing import Route

from sandbox import notices, parameters, recurrence
from sandbox.agenda import Agenda, Event, span
from sandbox.errors import ApiError, bad_request, not_found
from sandbox.mailboxes import opaque
from sandbox.routing import Answer, Call, api
from sandbox.state import Operation, Sandbox
from sandbox.world import Party

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
    return call.sandbox.agenda(call.grant.index)


def _selected(call: Call, data: dict[str, Any]) -> dict[str, Any]:
    select = call.params.get("select")
    data = {**data, "grant_id": call.grant.id}
    return {name: data[name] for name in data if not select or name in select}


def _calendar(call: Call, wanted: str | None) -> dict[str, Any]:
    if not wanted:
        raise bad_request("missing required query parameter 'calendar_id'")
    calendar = _agenda(call).find_calendar(wanted)
    if calendar is None:
        raise not_found("calendar not found")
    return calendar


def _check_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise bad_request(f"unknown timezone {name!r}") from error


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
        _check_zone(body.timezone)
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
    if start > end:
        raise bad_request("start must not be later than end (end is a month from now by default)")
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


def _candidates(call: Call, calendar_id: str) -> list[Event]:
    params, agenda = call.params, _agenda(call)
    if ical_uid := params.get("ical_uid"):
        others = params.keys() - {"ical_uid", "calendar_id", "limit", "page_token", "select"}
        if others:
            raise bad_request(f"ical_uid cannot be combined with {', '.join(sorted(others))}")
        mine = [e for e in agenda.events.values() if e["calendar_id"] == calendar_id]
        return sorted(
            (e for e in mine if e["ical_uid"] == ical_uid), key=lambda e: (span(e)[0], e["id"])
        )
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


class WhenBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    object: str | None = None
    time: int | None = None
    timezone: str | None = None
    start_time: int | None = None
    end_time: int | None = None
    start_timezone: str | None = None
    end_timezone: str | None = None
    date: str | None = None
    start_date: str | None = None
    end_date: str | None = None


class ParticipantBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    email: str
    name: str | None = None
    status: str | None = None
    comment: str | None = None
    phone_number: str | None = None


class EventBody(msgspec.Struct, forbid_unknown_fields=True):
    when: WhenBody | None = None
    title: str | None = None
    busy: bool | None = None
    description: str | None = None
    location: str | None = None
    conferencing: dict[str, Any] | None = None
    reminders: dict[str, Any] | None = None
    metadata: dict[str, str] | None = None
    participants: list[ParticipantBody] | None = None
    resources: list[dict[str, Any]] | None = None
    recurrence: list[str] | None = None
    visibility: str | None = None
    capacity: int | None = None
    hide_participants: bool | None = None
    notetaker: dict[str, Any] | None = None


class RsvpBody(msgspec.Struct, forbid_unknown_fields=True):
    status: str


_FORMS = {
    frozenset({"time"}): "time",
    frozenset({"start_time", "end_time"}): "timespan",
    frozenset({"date"}): "date",
    frozenset({"start_date", "end_date"}): "datespan",
}


def _when(body: WhenBody) -> dict[str, Any]:
    """One of the four forms, whether or not the client says which."""
    given: dict[str, Any] = msgspec.to_builtins(body)
    zones = {name: given.pop(name) for name in list(given) if name.endswith("timezone")}
    named = given.pop("object", None)
    form = _FORMS.get(frozenset(given))
    if form is None or named not in (None, form):
        raise bad_request("when must be a time, a timespan, a date or a datespan")
    for zone in zones.values():
        _check_zone(zone)
    if form in ("date", "datespan"):
        try:
            days = [date.fromisoformat(value) for value in given.values()]
        except ValueError as error:
            raise bad_request(f"when: {error}") from error
        if days != sorted(days):
            raise bad_request("when: end_date must not be before start_date")
        return {"object": form, **given}
    if form == "timespan" and given["end_time"] <= given["start_time"]:
        raise bad_request("when: end_time must be after start_time")
    return {"object": form, **given, **zones}


def event_values(agenda: Agenda, body: EventBody) -> dict[str, Any]:
    """What a body changes, checked, as it is kept."""
    given = {name: v for name, v in msgspec.to_builtins(body).items() if v is not None}
    if body.when is not None:
        given["when"] = _when(body.when)
    if body.visibility not in (None, "default", "public", "private"):
        raise bad_request("visibility must be default, public or private")
    if body.visibility == "default" and not agenda.is_google:
        raise bad_request("visibility 'default' exists for Google only")
    if body.recurrence:
        recurrence.parse_rule(body.recurrence)
    if body.participants is not None:
        for participant in given["participants"]:
            if "@" not in participant["email"]:
                raise bad_request(f"{participant['email']!r} is not an email address")
            participant.setdefault("status", "noreply")
            if participant["status"] not in ("yes", "no", "maybe", "noreply"):
                raise bad_request("participant status must be yes, no, maybe or noreply")
    return given


def new_event(
    sandbox: Sandbox, index: int, calendar_id: str, body: EventBody, organizer: Party | None = None
) -> Event:
    """A new event for this calendar; not stored yet."""
    agenda = sandbox.agenda(index)
    if body.when is None:
        raise bad_request("when is required")
    now = sandbox.now()
    ical_uid = f"{secrets.token_hex(13)}@calendar.example"
    organizer = organizer or sandbox.world.party(index)
    return {
        "id": agenda.event_id(ical_uid, secrets.randbits(62)),
        "object": "event",
        "calendar_id": calendar_id,
        "title": "",
        "description": "",
        "location": "",
        "busy": True,
        "read_only": False,
        "status": "confirmed",
        "visibility": "default" if agenda.is_google else "public",
        "participants": [],
        "organizer": organizer,
        "creator": organizer,
        "ical_uid": ical_uid,
        "html_link": "",
        "hide_participants": False,
        "reminders": {"use_default": True, "overrides": []},
        "metadata": {},
        "created_at": now,
        "updated_at": now,
        **event_values(agenda, body),
    }


def _copies(sandbox: Sandbox, index: int, event: Event) -> list[tuple[int, Event]]:
    """The event in the calendars of everybody else in it who has a mailbox in this world."""
    copies = []
    parties = [*event["participants"], event["organizer"]]
    addresses = dict.fromkeys(party.get("email", "").casefold() for party in parties)
    for other in dict.fromkeys(sandbox.index_of(address) for address in addresses):
        if other is None or other == index:
            continue
        agenda = sandbox.agenda(other)
        known = next(
            (e for e in agenda.events.values()
             if e["ical_uid"] == event["ical_uid"]
             and e.get("original_start_time") == event.get("original_start_time")),
            None,
        )  # fmt: skip
        own = {
            "id": known["id"]
            if known
            else agenda.event_id(event["ical_uid"], secrets.randbits(62)),
            "calendar_id": known["calendar_id"] if known else agenda.primary_id,
            "metadata": known["metadata"] if known else {},
            "visibility": "default" if agenda.is_google else "public",
        }
        copies.append((other, {**event, **own}))
    return copies


def store_event(sandbox: Sandbox, index: int, event: Event) -> None:
    """Keep the event, give it to the participants, and tell the webhooks."""
    changed = [(index, event)]
    if event["organizer"]["email"] == sandbox.world.party(index)["email"]:
        changed += _copies(sandbox, index, event)
    triggers = [
        "event.updated" if e["id"] in sandbox.agenda(i).events else "event.created"
        for i, e in changed
    ]
    operations: list[Operation] = [{"op": "event", "mailbox": i, "event": e} for i, e in changed]
    sandbox.commit(*operations)
    for (i, e), trigger in zip(changed, triggers, strict=True):
        if grant := sandbox.grant_of(i):
            notices.plain(sandbox, trigger, sandbox.mailbox(i), {**e, "grant_id": grant.id})


def drop_event(sandbox: Sandbox, index: int, event: Event) -> None:
    """Delete: Google keeps it as cancelled; elsewhere it goes, and stays with the invited."""
    cancelled = {**event, "status": "cancelled", "updated_at": sandbox.now()}
    agenda = sandbox.agenda(index)
    is_own = event["organizer"]["email"] == sandbox.world.party(index)["email"]
    operations: list[Operation] = []
    if agenda.is_google or event.get("master_event_id"):
        operations.append({"op": "event", "mailbox": index, "event": cancelled})
    else:
        operations.append({"op": "event-gone", "mailbox": index, "id": event["id"]})
    # The edited occurrences of a series go with it.
    for edited in [e for e in agenda.events.values() if e.get("master_event_id") == event["id"]]:
        operations.append({"op": "event-gone", "mailbox": index, "id": edited["id"]})
    copies = _copies(sandbox, index, cancelled) if is_own else []
    operations += [{"op": "event", "mailbox": i, "event": e} for i, e in copies]
    sandbox.commit(*operations)
    _tell_deleted(sandbox, index, event)
    for other, copy in copies:
        if sandbox.agenda(other).is_google:
            _tell_deleted(sandbox, other, copy)
        elif grant := sandbox.grant_of(other):
            data = {**copy, "grant_id": grant.id}
            notices.plain(sandbox, "event.updated", sandbox.mailbox(other), data)


def _tell_deleted(sandbox: Sandbox, index: int, event: Event) -> None:
    grant = sandbox.grant_of(index)
    if grant is None:
        return
    data = {
        "id": event["id"], "grant_id": grant.id, "object": "event",
        "calendar_id": event["calendar_id"],
    }  # fmt: skip
    if master := event.get("master_event_id"):
        data["master_event_id"] = master
    notices.plain(sandbox, "event.deleted", sandbox.mailbox(index), data)


def create_event(call: Call) -> Answer:
    calendar = _calendar(call, call.params.get("calendar_id"))
    if calendar["read_only"]:
        raise ApiError(403, "insufficient_scopes", "The calendar is read-only.")
    event = new_event(call.sandbox, call.grant.index, calendar["id"], call.read(EventBody))
    store_event(call.sandbox, call.grant.index, event)
    return call.one(_selected(call, event))


def _writable(call: Call) -> Event:
    event = _event(call)
    calendar = _agenda(call).calendars[event["calendar_id"]]
    if calendar["read_only"] or event["read_only"]:
        raise ApiError(403, "insufficient_scopes", "The event is read-only.")
    return event


def update_event(call: Call) -> Answer:
    event, body = _writable(call), call.read(EventBody)
    if event["status"] == "cancelled":
        raise not_found("the event was deleted")
    changed = {
        **event,
        **event_values(_agenda(call), body),
        "updated_at": max(call.sandbox.now(), event["updated_at"]),
    }
    store_event(call.sandbox, call.grant.index, changed)
    return call.one(_selected(call, changed))


def delete_event(call: Call) -> Answer:
    event = _event(call)
    if _agenda(call).calendars[event["calendar_id"]]["read_only"]:
        raise ApiError(403, "insufficient_scopes", "The calendar is read-only.")
    if event["status"] == "cancelled" and _agenda(call).is_google:
        raise not_found("the event was deleted already")
    drop_event(call.sandbox, call.grant.index, event)
    return call.done()


def answer_invitation(
    sandbox: Sandbox, index: int, event: Event, address: str, status: str
) -> None:
    """Set one participant's status, in every copy that this world holds."""
    if status not in ("yes", "no", "maybe"):
        raise bad_request("status must be yes, no or maybe")
    wanted = address.casefold()
    if not any(p.get("email", "").casefold() == wanted for p in event["participants"]):
        raise bad_request(f"{address} is not a participant of this event")
    changed = {
        **event,
        "participants": [
            {**p, "status": status} if p.get("email", "").casefold() == wanted else p
            for p in event["participants"]
        ],
        "updated_at": sandbox.now(),
    }
    organizer = sandbox.index_of(event["organizer"]["email"])
    if organizer is None or organizer == index:
        store_event(sandbox, index, changed)
        return
    for other, copy in _copies(sandbox, index, changed):
        if other == organizer:
            store_event(sandbox, other, copy)  # and from there to everybody
            return
    store_event(sandbox, index, changed)


def send_rsvp(call: Call) -> Answer:
    event, body = _event(call), call.read(RsvpBody)
    address = call.mailbox.persona.email
    answer_invitation(call.sandbox, call.grant.index, event, address, body.status)
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
