"""Series that came without their occurrences."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from calendar_sync.series import (
    MOST_OCCURRENCES,
    SeriesSeen,
    UnreadableSeries,
    occurrences,
    start_of,
)
from crm_sync.providers.types import Event, EventTime

BERLIN = ZoneInfo("Europe/Berlin")
START, END = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
#: Mondays at nine in Berlin; the clocks change on 25 October 2026.
FIRST = datetime(2026, 10, 12, 9, tzinfo=BERLIN).astimezone(UTC)
NINE = EventTime(FIRST, FIRST + timedelta(minutes=30), time_zone="Europe/Berlin")


def master(*rules: str, time: EventTime = NINE) -> Event:
    return Event("m", "cal", title="Weekly", time=time, recurrence=rules)


def expand(event: Event, **more) -> list[Event]:
    values = {"start": START, "end": END, "moved": [], "zone": BERLIN, **more}
    return list(occurrences(event, **values))


def clocks(events: list[Event]) -> list[str]:
    return [f"{event.time.starts_at.astimezone(BERLIN):%m-%d %H:%M}" for event in events]


def test_nine_stays_nine_when_the_clocks_change():
    events = expand(master("RRULE:FREQ=WEEKLY;COUNT=4"))
    assert clocks(events) == ["10-12 09:00", "10-19 09:00", "10-26 09:00", "11-02 09:00"]
    assert [event.time.starts_at.hour for event in events] == [7, 7, 8, 8]
    ends = [event.time.ends_at.astimezone(BERLIN).strftime("%H:%M") for event in events]
    assert ends == ["09:30"] * 4


def test_each_occurrence_has_an_identity_of_its_own():
    first, second = expand(master("RRULE:FREQ=WEEKLY;COUNT=2"))
    assert (first.id, second.id) == ("m_20261012T070000Z", "m_20261019T070000Z")
    assert first.master_event_id == "m"
    assert first.original_start == first.time.starts_at == start_of(first)
    assert first.recurrence == ()


def test_without_a_zone_of_its_own_it_is_the_owners():
    plain = EventTime(NINE.starts_at, NINE.ends_at)
    assert clocks(expand(master("RRULE:FREQ=WEEKLY;COUNT=3", time=plain)))[2] == "10-26 09:00"


@pytest.mark.parametrize(
    "rules",
    [
        ["RRULE:FREQ=WEEKLY;COUNT=3", "EXDATE:20261019T070000Z"],
        ["RRULE:FREQ=WEEKLY;COUNT=3", "EXDATE;TZID=Europe/Berlin:20261019T090000"],
        ["RRULE:FREQ=WEEKLY;COUNT=3", "EXDATE;VALUE=DATE:20261019"],
        ["RRULE:FREQ=WEEKLY;COUNT=1", "RDATE:20261026T080000Z"],
        ["RRULE:FREQ=WEEKLY;INTERVAL=2;UNTIL=20261026T080000Z"],
        ["RRULE:FREQ=WEEKLY;INTERVAL=2;UNTIL=20261026"],
        ["EXDATE;TZID=Nowhere/Atall:20261019T090000", "rrule:FREQ=WEEKLY;COUNT=3"],
    ],
)
def test_exceptions_additions_and_ends(rules):
    assert clocks(expand(master(*rules))) == ["10-12 09:00", "10-26 09:00"]


def test_only_the_window_is_worked_out_however_long_the_series():
    old = EventTime(NINE.starts_at.replace(year=1990), NINE.ends_at.replace(year=1990))
    events = expand(master("RRULE:FREQ=DAILY", time=old))
    assert len(events) == (END - START).days
    starts = [start for event in events if (start := start_of(event))]
    assert START <= min(starts) < max(starts) < END


def test_there_is_an_end_to_what_is_taken_in():
    far = END + timedelta(days=10_000)
    assert len(expand(master("RRULE:FREQ=DAILY"), end=far)) == MOST_OCCURRENCES


def test_whole_days():
    days = EventTime(first_day=date(2026, 10, 12), last_day=date(2026, 10, 13))
    first, second = expand(master("RRULE:FREQ=WEEKLY;COUNT=2", time=days))
    assert (second.time.first_day, second.time.last_day) == (date(2026, 10, 19), date(2026, 10, 20))
    assert second.id == "m_20261019"
    assert first.original_start == datetime(2026, 10, 12, tzinfo=UTC)


def test_a_moved_occurrence_leaves_no_copy_behind():
    moved = ["2026-10-19T07:00:00+00:00"]
    assert clocks(expand(master("RRULE:FREQ=WEEKLY;COUNT=3"), moved=moved)) == [
        "10-12 09:00",
        "10-26 09:00",
    ]


@pytest.mark.parametrize(
    "rules",
    [
        ["RRULE:FREQ=SECONDLY"],
        ["RRULE:FREQ=HOURLY;COUNT=2"],
        ["RRULE:FREQ=DAILY;INTERVAL=0"],
        ["RRULE:FREQ=SOMETIMES"],
        ["RRULE:"],
        ["RRULE:FREQ=DAILY;UNTIL=99999999T999999Z"],
        ["EXDATE:tomorrow", "RRULE:FREQ=DAILY"],
        ["every Monday"],
        [],
    ],
)
def test_rules_without_sense_are_named_and_no_more(rules):
    with pytest.raises(UnreadableSeries) as cause:
        expand(master(*rules))
    assert str(cause.value).endswith(".")


def test_a_series_without_a_time():
    with pytest.raises(UnreadableSeries):
        expand(Event("m", "cal", recurrence=("RRULE:FREQ=DAILY",)))


# --- what a listing shows ------------------------------------------------------------------------


def occurrence(**more) -> Event:
    return Event("m_1", "cal", time=NINE, master_event_id="m", **more)


def test_a_master_alone_is_to_be_expanded_and_one_with_occurrences_is_not():
    alone, together = SeriesSeen(), SeriesSeen()
    alone.note(master("RRULE:FREQ=DAILY"))
    together.note(occurrence())
    together.note(master("RRULE:FREQ=DAILY"))
    assert alone.unexpanded() == ["m"]
    assert together.unexpanded() == []


def test_moved_and_cancelled_occurrences_alone_do_not_make_a_series_expanded():
    seen = SeriesSeen()
    seen.note(master("RRULE:FREQ=WEEKLY"))
    seen.note(occurrence(original_start=FIRST + timedelta(days=7)))
    seen.note(occurrence(original_start=FIRST + timedelta(days=14), status="cancelled"))
    assert seen.unexpanded() == ["m"]
    assert len(seen.moved["m"]) == 2


def test_one_listing_knows_nothing_of_another():
    SeriesSeen().note(master("RRULE:FREQ=DAILY"))
    assert SeriesSeen().masters == []
