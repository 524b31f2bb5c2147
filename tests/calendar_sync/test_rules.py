"""What is synced, who wins, when the brake holds."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calendar_sync.rules import (
    FURTHEST,
    describe_time,
    is_held,
    is_newer_here,
    listed_span,
    measured_offset,
    window_of,
)
from crm_sync.providers.types import EventTime

BERLIN = ZoneInfo("Europe/Berlin")
AUCKLAND = ZoneInfo("Pacific/Auckland")
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
START = datetime(2026, 10, 21, 9, 14, tzinfo=UTC)


def window(days_after, zone=BERLIN, now=NOW):
    return window_of(now=now, sync_from=START, days_after=days_after, zone=zone)


def timed(year, month, day, hour, minute=0, zone=UTC):
    start = datetime(year, month, day, hour, minute, tzinfo=zone).astimezone(UTC)
    return EventTime(start, start + timedelta(minutes=30))


def on(day):
    return EventTime(first_day=day, last_day=day)


@pytest.mark.parametrize(
    ("when", "is_inside"),
    [
        (timed(2026, 10, 21, 9, 14), True),
        (timed(2026, 10, 21, 9, 13), False),
        (timed(2026, 11, 20, 23, 59, BERLIN), True),
        (timed(2026, 11, 21, 0, 0, BERLIN), False),
        (on(date(2026, 10, 21)), True),
        (on(date(2026, 10, 20)), False),
        (on(date(2026, 11, 20)), True),
        (on(date(2026, 11, 21)), False),
        (EventTime(), False),
    ],
)
def test_no_days_after_today_means_today(when, is_inside):
    assert window(0).holds(when) is is_inside


def test_today_is_the_owners_today():
    late = datetime(2026, 11, 20, 20, tzinfo=UTC)
    assert window(0, AUCKLAND, late).holds(on(date(2026, 11, 21)))
    assert not window(0, BERLIN, late).holds(on(date(2026, 11, 21)))


def test_blank_days_after_today_know_no_end():
    assert window(None).holds(timed(2999, 1, 1, 0))
    assert not window(None).holds(timed(2026, 10, 1, 0))


def test_a_day_counts_whole_when_the_clocks_change():
    before = datetime(2026, 10, 24, 12, tzinfo=UTC)
    bounds = window_of(now=before, sync_from=START, days_after=1, zone=BERLIN)
    assert bounds.holds(timed(2026, 10, 25, 23, 59, BERLIN))
    assert not bounds.holds(timed(2026, 10, 26, 0, 0, BERLIN))


def test_an_absurd_number_of_days_is_no_error():
    assert window(2_000_000_000).holds(timed(2100, 1, 1, 0))


def test_a_listing_without_bound_ends_after_400_days():
    ((start, end),) = listed_span(window(None), now=NOW, longest=None)
    assert start < START
    assert NOW + FURTHEST < end < NOW + FURTHEST + timedelta(days=2)


def test_a_listing_is_cut_for_providers_with_a_limit():
    spans = listed_span(window(None), now=NOW, longest=timedelta(days=360))
    assert len(spans) == 2
    assert spans[0][1] == spans[1][0]
    assert all(end - start <= timedelta(days=360) for start, end in spans)
    assert (spans[0][0], spans[-1][1]) == listed_span(window(None), now=NOW, longest=None)[0]


# --- who wins ------------------------------------------------------------------------------------


@given(
    skew=st.integers(-600, 600),
    lateness=st.integers(-3600, 3600).filter(lambda seconds: abs(seconds) > 2),
    travel=st.floats(0, 5),
)
def test_the_newer_change_wins_whatever_the_providers_clock_says(skew, lateness, travel):
    """Measured by a write that took `travel` seconds, as far as that time allows."""
    written_at = (NOW + timedelta(seconds=skew + travel / 2)).replace(microsecond=0)
    offset = measured_offset(written_at, before=NOW, after=NOW + timedelta(seconds=travel))
    assert abs(offset - skew) <= travel / 2 + 1 or offset == 0
    changed_here = NOW + timedelta(hours=2)
    changed_there = changed_here + timedelta(seconds=lateness + skew)
    if abs(lateness) > travel + 2:
        is_newer = is_newer_here(changed_here, updated_at=changed_there, clock_offset=offset)
        assert is_newer is (lateness < 0)


def test_in_doubt_the_crm_goes_first():
    assert is_newer_here(NOW, updated_at=None, clock_offset=None)
    assert is_newer_here(NOW, updated_at=NOW, clock_offset=None)


def test_a_right_clock_is_not_corrected():
    assert measured_offset(NOW, before=NOW, after=NOW + timedelta(seconds=1)) == 0
    just_before = NOW.replace(microsecond=900_000)
    assert measured_offset(NOW, before=just_before, after=just_before) == 0


# --- the brake -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("deletions", "linked", "holds"),
    [
        (20, 1000, False),
        (21, 1000, True),
        (5, 10, False),
        (6, 10, True),
        (9, 9, False),
        (0, 0, False),
    ],
)
def test_the_brake_holds_above_a_number_or_a_share(deletions, linked, holds):
    assert is_held(deletions, linked=linked, limit=20, share=50) is holds


# --- words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "words"),
    [
        (timed(2026, 11, 23, 8), "Mon 23 Nov 2026, 09:00 to 09:30"),
        (EventTime(NOW, NOW), "Fri 20 Nov 2026, 13:00"),
        (
            EventTime(NOW, NOW + timedelta(days=1)),
            "Fri 20 Nov 2026, 13:00 to Sat 21 Nov 2026, 13:00",
        ),
        (on(date(2026, 11, 23)), "Mon 23 Nov 2026"),
        (
            EventTime(first_day=date(2026, 11, 23), last_day=date(2026, 11, 24)),
            "Mon 23 Nov 2026 to Tue 24 Nov 2026",
        ),
        (EventTime(), ""),
    ],
)
def test_times_in_words(when, words):
    assert describe_time(when, BERLIN) == words
