"""Calendars and events between Nylas's JSON and our types: pure functions (contract sheet §5).

Calendars are small beside mail, so there is one way of reading only, the tolerant one: each field
is taken if it is usable. One odd event costs at most itself.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from msgspec import Struct

from crm_sync.providers.errors import PermanentError, UnexpectedAnswer
from crm_sync.providers.nylas_wire import moment, read_json, shaped
from crm_sync.providers.types import (
    Attendee,
    Calendar,
    Event,
    EventDraft,
    EventPage,
    EventTime,
    UnreadableEvent,
)

CALENDAR_FIELDS: Final = "id,name,timezone,is_primary,read_only"
EVENT_FIELDS: Final = (
    "id,calendar_id,title,description,location,status,visibility,read_only,when,organizer,"
    "participants,ical_uid,master_event_id,original_start_time,recurrence,updated_at,metadata"
)
#: One of the five keys that can be searched for; Nylas uses key5 itself
#: (https://developer.nylas.com/docs/dev-guide/metadata/).
MARKER_KEY: Final = "key1"
LONGEST_TITLE: Final = 1024


class _Page(Struct):
    data: list[Any]
    next_cursor: str | None = None


class _One(Struct):
    data: dict[str, Any]


# --- answers -------------------------------------------------------------------------------------


def read_calendars(content: bytes) -> tuple[list[Calendar], str | None]:
    """One page of calendars and the next cursor, None on the last page.

    A calendar without an id is refused with the whole page: a listing that lost one would pass for
    complete, and we might then write into another calendar than the user's choice.
    """
    page = shaped(read_json(content), _Page)
    return [_calendar(item) for item in page.data], page.next_cursor or None


def read_calendar(content: bytes) -> Calendar:
    return _calendar(shaped(read_json(content), _One).data)


def read_events(content: bytes, calendar_id: str) -> EventPage:
    """One page of events. `calendar_id` stands in where an event does not name its calendar."""
    page = shaped(read_json(content), _Page)
    events: list[Event] = []
    unreadable: list[UnreadableEvent] = []
    for item in page.data:
        event_id = _id_of(item)
        if event_id:
            events.append(_event(item, event_id, calendar_id))
        else:
            cause = "Nylas sent an event without an id, or something that is no event."
            unreadable.append(UnreadableEvent("", cause))
    return EventPage(tuple(events), tuple(unreadable), page.next_cursor or None)


def read_event(content: bytes, calendar_id: str, *, event_id: str = "") -> Event:
    """One event; `event_id` stands in where the answer does not repeat it.

    Raises TransientError “not-json”, UnexpectedAnswer for JSON without an event, and
    PermanentError “unreadable-event” for one that has no id at all.
    """
    item = shaped(read_json(content), _One).data
    found = _id_of(item) or event_id
    if not found:
        raise PermanentError("Nylas sent an event without an id.", code="unreadable-event")
    return _event(item, found, calendar_id)


# --- values --------------------------------------------------------------------------------------


def _calendar(item: object) -> Calendar:
    calendar_id = _id_of(item)
    if not isinstance(item, dict) or not calendar_id:
        raise UnexpectedAnswer("Nylas listed a calendar without an id.")
    return Calendar(
        calendar_id,
        _text(item.get("name")),
        is_primary=item.get("is_primary") is True,
        is_read_only=item.get("read_only") is True,
        time_zone=time_zone(item.get("timezone")),
    )


def _event(item: Mapping[str, Any], event_id: str, calendar_id: str) -> Event:
    metadata = item.get("metadata")
    return Event(
        id=event_id,
        calendar_id=_text(item.get("calendar_id")) or calendar_id,
        title=_text(item.get("title")),
        description=_text(item.get("description")),
        location=_text(item.get("location")),
        time=event_time(item.get("when")),
        status=_STATUSES.get(_word(item.get("status")), "confirmed"),
        is_private=_word(item.get("visibility")) in _PRIVATE,
        is_read_only=item.get("read_only") is True,
        organiser=_attendee(item.get("organizer")),
        attendees=_attendees(item.get("participants")),
        ical_uid=_text(item.get("ical_uid")),
        master_event_id=_text(item.get("master_event_id")),
        original_start=moment(item.get("original_start_time")),
        recurrence=_recurrence(item.get("recurrence")),
        updated_at=moment(item.get("updated_at")),
        marker=_text(metadata.get(MARKER_KEY)) if isinstance(metadata, dict) else "",
    )


#: The documentation says “maybe”, the SDK “tentative” (contract sheet §5).
_STATUSES: Final = {
    "confirmed": "confirmed",
    "maybe": "maybe",
    "tentative": "maybe",
    "cancelled": "cancelled",
    "canceled": "cancelled",
}
_PRIVATE: Final = frozenset({"private", "confidential"})
_ANSWERS: Final = frozenset({"yes", "no", "maybe", "noreply"})


def event_time(when: object) -> EventTime | None:
    """When an event is, whatever form `when` has; the form's name may be missing and is not read.

    An end that is missing, impossible or before the start counts as the start: an event of no
    length, or of one day. None where there is no usable start.
    """
    if not isinstance(when, dict):
        return None
    starts_at = moment(when.get("start_time")) or moment(when.get("time"))
    if starts_at is not None:
        ends_at = moment(when.get("end_time")) or starts_at
        zone = time_zone(when.get("start_timezone")) or time_zone(when.get("timezone"))
        return EventTime(starts_at, max(starts_at, ends_at), time_zone=zone)
    first_day = _day(when.get("start_date")) or _day(when.get("date"))
    if first_day is not None:
        last_day = _day(when.get("end_date")) or first_day
        return EventTime(first_day=first_day, last_day=max(first_day, last_day))
    return None


def _day(value: object) -> date | None:
    if not isinstance(value, str):
        return None
    try:
        day = date.fromisoformat(value.strip()[:10])  # Some append midnight to the date.
    except ValueError:
        return None
    # Other years are mistakes, and would overflow in some time zone.
    return day if 1900 <= day.year < 3000 else None


def time_zone(value: object) -> str:
    """The IANA name, "" for any other (“W. Europe Standard Time”)."""
    name = value.strip() if isinstance(value, str) else ""
    return name if name and _is_zone(name) else ""


@lru_cache(maxsize=2048)
def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # Unknown; impossible; a folder of zones.
        return False
    return True


def _attendees(value: object) -> tuple[Attendee, ...]:
    entries = value if isinstance(value, list) else []
    return tuple(found for entry in entries if (found := _attendee(entry)) is not None)


def _attendee(value: object) -> Attendee | None:
    """Somebody with an address or at least a name; None where the answer tells neither."""
    if isinstance(value, str):
        value = {"email": value}
    if not isinstance(value, dict):
        return None
    address, name = _text(value.get("email")).strip(), _text(value.get("name")).strip()
    if not (address or name):
        return None
    status = _word(value.get("status"))
    return Attendee(address, name, status if status in _ANSWERS else "")


def _recurrence(value: object) -> tuple[str, ...]:
    if isinstance(value, dict):  # The form of v2.
        value = value.get("rrule")
    if isinstance(value, str):
        value = [value]
    return tuple(line for line in value if isinstance(line, str)) if isinstance(value, list) else ()


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _word(value: object) -> str:
    return _text(value).strip().lower()


def _id_of(item: object) -> str:
    found = item.get("id") if isinstance(item, dict) else None
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    return _text(found) if not _text(found).isspace() else ""


# --- what we write -------------------------------------------------------------------------------


def written(draft: EventDraft) -> dict[str, Any]:
    """The body of a request that makes the event, or changes it: nobody is named in it.

    What is None is left out, and so is a blank title, which would be refused.
    """
    body: dict[str, Any] = {"metadata": {MARKER_KEY: draft.marker}}
    if draft.description is not None:
        body["description"] = draft.description
    if draft.location is not None:
        body["location"] = draft.location
    if draft.time is not None:
        body["when"] = _when(draft.time)
    if draft.title is not None and draft.title.strip():
        body["title"] = draft.title[:LONGEST_TITLE]
    return body


def _when(time: EventTime) -> dict[str, Any]:
    if time.first_day is not None:
        last_day = time.last_day or time.first_day
        if last_day == time.first_day:
            return {"date": time.first_day.isoformat()}
        return {"start_date": time.first_day.isoformat(), "end_date": last_day.isoformat()}
    if time.starts_at is None:
        raise ValueError("An event needs a time.")
    start, end = _seconds(time.starts_at), _seconds(time.ends_at or time.starts_at)
    zone = time.time_zone
    if end <= start:  # A timespan without length is refused.
        return {"time": start} | ({"timezone": zone} if zone else {})
    zones = {"start_timezone": zone, "end_timezone": zone} if zone else {}
    return {"start_time": start, "end_time": end} | zones


def _seconds(at: datetime) -> int:
    return int(at.astimezone(UTC).timestamp())
