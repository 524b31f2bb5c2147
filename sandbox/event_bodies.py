"""What clients write of an event, checked field by field."""

from __future__ import annotations

from datetime import date
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from sandbox import recurrence
from sandbox.agenda import Agenda
from sandbox.errors import bad_request

LONGEST_TITLE = 1024
MOST_METADATA, LONGEST_KEY, LONGEST_VALUE = 50, 40, 500


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


_FORMS = {
    frozenset({"time"}): "time",
    frozenset({"start_time", "end_time"}): "timespan",
    frozenset({"date"}): "date",
    frozenset({"start_date", "end_date"}): "datespan",
}


def check_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise bad_request(f"unknown timezone {name!r}") from error


def _when(body: WhenBody) -> dict[str, Any]:
    """One of the four forms, whether or not the client says which."""
    given: dict[str, Any] = msgspec.to_builtins(body)
    zones = {name: given.pop(name) for name in list(given) if name.endswith("timezone")}
    named = given.pop("object", None)
    form = _FORMS.get(frozenset(given))
    if form is None or named not in (None, form):
        raise bad_request("when must be a time, a timespan, a date or a datespan")
    if ("start_timezone" in zones) != ("end_timezone" in zones):
        raise bad_request("when: start_timezone and end_timezone need each other")
    for zone in zones.values():
        check_zone(zone)
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


def _check_metadata(metadata: dict[str, str]) -> None:
    if len(metadata) > MOST_METADATA:
        raise bad_request(f"metadata takes at most {MOST_METADATA} pairs")
    for key, value in metadata.items():
        if len(key) > LONGEST_KEY or len(value) > LONGEST_VALUE:
            raise bad_request(f"metadata: at most {LONGEST_KEY} and {LONGEST_VALUE} characters")


def event_values(agenda: Agenda, body: EventBody) -> dict[str, Any]:
    """What a body changes, checked, as it is kept."""
    given = {name: v for name, v in msgspec.to_builtins(body).items() if v is not None}
    if body.when is not None:
        given["when"] = _when(body.when)
    if body.visibility not in (None, "default", "public", "private"):
        raise bad_request("visibility must be default, public or private")
    if body.visibility == "default" and not agenda.is_google:
        raise bad_request("visibility 'default' exists for Google only")
    if body.title is not None and not 1 <= len(body.title) <= LONGEST_TITLE:
        raise bad_request(f"title must have 1 to {LONGEST_TITLE} characters")
    _check_metadata(body.metadata or {})
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
