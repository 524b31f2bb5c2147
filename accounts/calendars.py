"""Which calendar is synced: the name in the settings field against the mailbox's own calendars.

Pure functions, for the sync and for the settings page alike. The rules are the seeds' (001,
“Calendar Synchronization”).
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from accounts.rules import Problem
from crm_sync.providers.types import Calendar

#: What Microsoft calls the calendar that everybody starts with.
USUAL_NAME = "Calendar"


class CalendarChoice(Struct, frozen=True):
    """`calendar` is None where none can be synced, and `problem` then says why."""

    calendar: Calendar | None
    problem: Problem | None = None


def choose_calendar(calendars: Sequence[Calendar], *, name: str) -> CalendarChoice:
    """The calendar of that name; where it is blank, the usual one.

    A read-only calendar can be chosen: its appointments come in, nothing goes out.
    """
    if not calendars:
        return _none(name.strip() or USUAL_NAME, "The mailbox has no calendar.")
    if not name.strip():
        return CalendarChoice(_usual(calendars))
    found = _named(calendars, name)
    if not found:
        return _none(name.strip(), f"The mailbox has no calendar named “{name.strip()}”.")
    return CalendarChoice(found[0])


def offered(calendars: Iterable[Calendar]) -> list[Calendar]:
    """The calendars in the order in which a user looks for them; nameless ones cannot be named."""
    return sorted(
        (calendar for calendar in calendars if calendar.name.strip()),
        key=lambda calendar: (
            not calendar.is_primary,
            calendar.is_read_only,
            calendar.name.strip().casefold(),
        ),
    )


def _usual(calendars: Sequence[Calendar]) -> Calendar:
    """The first one named “Calendar”, else the primary, else the first that can be written to."""
    in_order = [
        *_named(calendars, USUAL_NAME),
        *(calendar for calendar in calendars if calendar.is_primary),
        *(calendar for calendar in calendars if not calendar.is_read_only),
        *calendars,
    ]
    return in_order[0]


def _named(calendars: Iterable[Calendar], name: str) -> list[Calendar]:
    wanted = name.strip().casefold()
    return [calendar for calendar in calendars if calendar.name.strip().casefold() == wanted]


def _none(name: str, cause: str) -> CalendarChoice:
    return CalendarChoice(None, Problem(name=name, cause=cause))
