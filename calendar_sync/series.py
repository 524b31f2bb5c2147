"""Series that a provider left unexpanded: their occurrences, worked out here. Pure functions.

Listings are asked for with series expanded, and then the master is left alone. A master that comes
with none of its occurrences is expanded by its own rules, in its own zone: an appointment at nine
stays at nine when the clocks change.
"""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr
from msgspec import Struct
from msgspec.structs import replace

from crm_sync.providers.types import Event, EventTime

#: Occurrences of one series that are taken in.
MOST_OCCURRENCES = 1_000
#: Series of this kind are mistakes, and could be worked out for ever.
_TOO_OFTEN = re.compile(r"FREQ=(SECONDLY|MINUTELY|HOURLY)|INTERVAL=0+(;|$)", re.IGNORECASE)
_UNTIL = re.compile(r"UNTIL=([0-9TZ]+)", re.IGNORECASE)
_STAMP = re.compile(r"(\d{8})(?:T(\d{6})(Z?))?$")


class UnreadableSeries(ValueError):
    """The rules make no sense; the message is a sentence."""


class SeriesSeen(Struct):
    """What a listing showed of series so far: masters, which of them came expanded, and the
    original starts of single occurrences that were moved, by master."""

    masters: list[str] = []
    expanded: list[str] = []
    moved: dict[str, list[str]] = {}

    def note(self, event: Event) -> None:
        if event.recurrence and not event.master_event_id:
            self.masters = _with(self.masters, event.id)
        elif event.master_event_id and not is_exception(event):
            self.expanded = _with(self.expanded, event.master_event_id)
        elif event.master_event_id and event.original_start is not None:
            known = self.moved.get(event.master_event_id, [])
            self.moved[event.master_event_id] = _with(known, event.original_start.isoformat())

    def unexpanded(self) -> list[str]:
        return [master for master in self.masters if master not in self.expanded]


def _with(known: list[str], value: str) -> list[str]:
    return known if value in known else [*known, value]


def is_exception(event: Event) -> bool:
    """Whether a single occurrence was moved or cancelled."""
    if event.status == "cancelled":
        return True
    return event.original_start is not None and event.original_start != start_of(event)


def start_of(event: Event) -> datetime | None:
    """The instant by which an occurrence is known; of a day, its midnight in UTC."""
    if event.time is None:
        return None
    if event.time.first_day is not None:
        return datetime.combine(event.time.first_day, time.min, UTC)
    return event.time.starts_at


def occurrences(
    master: Event, *, start: datetime, end: datetime, moved: list[str], zone: tzinfo
) -> Iterator[Event]:
    """The series' occurrences that begin from `start` up to `end`, without those that were moved.

    Their ids are made of the master's and the original start, as Google's are. `zone` is the
    owner's, for a master that names none. Raises UnreadableSeries.
    """
    when = master.time
    if when is None:
        raise UnreadableSeries("The series has no time.")
    first = _wall_clock(when, zone)
    rules = _rules(master.recurrence, first=first, zone=_zone_of(when, zone))
    span = (_naive(start - timedelta(days=1)), _naive(end + timedelta(days=1)))
    try:
        found = rrulestr("\n".join(rules), dtstart=first, forceset=True)
        in_span = takewhile(lambda begin: begin <= span[1], found.xafter(span[0], inc=True))
        begun = list(islice(in_span, MOST_OCCURRENCES))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        raise UnreadableSeries("The rules of the series cannot be read.") from None
    for begin in begun:
        occurrence = _occurrence(master, when, begin, zone)
        original = start_of(occurrence)
        if original is None or original.isoformat() in moved:
            continue
        if start <= original < end:
            yield occurrence


def _occurrence(master: Event, when: EventTime, begin: datetime, zone: tzinfo) -> Event:
    if when.first_day is not None:
        length = (when.last_day or when.first_day) - when.first_day
        day = begin.date()
        moved, name = replace(when, first_day=day, last_day=day + length), f"{day:%Y%m%d}"
        original = datetime.combine(day, time.min, UTC)
    else:
        assert when.starts_at is not None
        duration = (when.ends_at or when.starts_at) - when.starts_at
        original = begin.replace(tzinfo=_zone_of(when, zone)).astimezone(UTC)
        moved = replace(when, starts_at=original, ends_at=original + duration)
        name = f"{original:%Y%m%dT%H%M%SZ}"
    return replace(
        master,
        id=f"{master.id}_{name}",
        time=moved,
        master_event_id=master.id,
        original_start=original,
        recurrence=(),
    )


def _wall_clock(when: EventTime, zone: tzinfo) -> datetime:
    if when.first_day is not None:
        return datetime.combine(when.first_day, time.min)
    if when.starts_at is None:
        raise UnreadableSeries("The series has no time.")
    return when.starts_at.astimezone(_zone_of(when, zone)).replace(tzinfo=None)


def _zone_of(when: EventTime, zone: tzinfo) -> tzinfo:
    return ZoneInfo(when.time_zone) if when.time_zone else zone


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def _rules(lines: tuple[str, ...], *, first: datetime, zone: tzinfo) -> list[str]:
    """The rules in wall clock, which is what they repeat by."""
    rules = []
    for line in lines:
        name, _, value = line.strip().partition(":")
        if name.upper() == "RRULE":
            if _TOO_OFTEN.search(value):
                raise UnreadableSeries("The series repeats too often to be taken in.")
            value = _UNTIL.sub(lambda found: f"UNTIL={_stamp(found[1], zone, first)}", value)
            rules.append(f"RRULE:{value}")
        elif name.upper().startswith(("EXDATE", "RDATE")):
            kind, own_zone = _date_list(name, zone)
            stamps = ",".join(_stamp(stamp, own_zone, first) for stamp in value.split(","))
            rules.append(f"{kind}:{stamps}")
    if not rules:
        raise UnreadableSeries("The series has no rules.")
    return rules


def _date_list(name: str, zone: tzinfo) -> tuple[str, tzinfo]:
    kind, _, options = name.partition(";")
    for option in options.split(";"):
        key, _, value = option.partition("=")
        if key.upper() == "TZID":
            try:
                return kind.upper(), ZoneInfo(value)
            except (KeyError, ValueError, OSError):
                return kind.upper(), zone
    return kind.upper(), zone


def _stamp(stamp: str, zone: tzinfo, first: datetime) -> str:
    """A date or a date and time as wall clock; a day stands for the series' own hour."""
    found = _STAMP.match(stamp.strip())
    if found is None:
        raise UnreadableSeries("The rules of the series cannot be read.")
    day, clock, is_utc = found.groups()
    try:
        if clock is None:
            moment = datetime.combine(date.fromisoformat(day), first.time())
        else:
            moment = datetime.fromisoformat(f"{day}T{clock}")
    except ValueError:
        raise UnreadableSeries("The rules of the series cannot be read.") from None
    if is_utc:
        moment = moment.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)
    return f"{moment:%Y%m%dT%H%M%S}"
