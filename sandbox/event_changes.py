"""What happens to events, by the API or in the mail app: stored, passed on, announced."""

from __future__ import annotations

import secrets

from sandbox import notices
from sandbox.agenda import Event
from sandbox.errors import bad_request
from sandbox.event_bodies import EventBody, event_values
from sandbox.state import Operation, Sandbox
from sandbox.world import Party


def new_event(
    sandbox: Sandbox, index: int, calendar_id: str, body: EventBody, organizer: Party | None = None
) -> Event:
    """A new event for this calendar; not stored yet."""
    agenda = sandbox.agenda(index)
    if body.when is None:
        raise bad_request("when is required")
    now = sandbox.clock(index)
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
        _announce(sandbox, i, trigger, e)


def _announce(sandbox: Sandbox, index: int, trigger: str, event: Event) -> None:
    """Tell the webhooks. Of a series only its master is told of; Google names the occurrence."""
    grant = sandbox.grant_of(index)
    if grant is None:
        return
    if master_id := event.get("master_event_id"):
        master = sandbox.agenda(index).events.get(master_id)
        if master is None:
            return
        which = "cancelled_occurrences" if event["status"] == "cancelled" else "occurrences"
        named = {which: [event["id"]]} if sandbox.provider_of(index) == "google" else {}
        trigger, event = "event.updated", {**master, **named}
    notices.plain(sandbox, trigger, sandbox.mailbox(index), {**event, "grant_id": grant.id})


def drop_event(sandbox: Sandbox, index: int, event: Event) -> None:
    """Delete: Google keeps it as cancelled; elsewhere it goes, and stays with the invited."""
    cancelled = {**event, "status": "cancelled", "updated_at": sandbox.clock(index)}
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
    _tell_deleted(sandbox, index, cancelled)
    for other, copy in copies:
        if sandbox.agenda(other).is_google:
            _tell_deleted(sandbox, other, copy)
        else:
            _announce(sandbox, other, "event.updated", copy)


def _tell_deleted(sandbox: Sandbox, index: int, event: Event) -> None:
    if event.get("master_event_id"):
        _announce(sandbox, index, "event.updated", event)
        return
    grant = sandbox.grant_of(index)
    if grant is None:
        return
    data = {
        "id": event["id"], "grant_id": grant.id, "object": "event",
        "calendar_id": event["calendar_id"],
    }  # fmt: skip
    notices.plain(sandbox, "event.deleted", sandbox.mailbox(index), data)


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
        "updated_at": sandbox.clock(index),
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
