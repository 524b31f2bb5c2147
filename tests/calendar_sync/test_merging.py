"""Three-way merging, field by field."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from calendar_sync.merging import FIELDS, Agreed, Content, merge, prints
from crm_sync.providers.types import EventTime

START = datetime(2026, 11, 23, 9, tzinfo=UTC)
CONTENT = Content("Call Ana", EventTime(START, START.replace(hour=10)), "Berlin", "About rates", "")
BASE = prints(CONTENT)


def agreed(**more) -> Agreed:
    return Agreed(here=dict(BASE), there=dict(BASE), **more)


def changed(*names: str, to: str = "x") -> dict[str, str]:
    return {**BASE, **{name: f"{to} {name}" for name in names}}


def test_nothing_changed():
    merged = merge(BASE, BASE, agreed(), is_newer_here=True)
    assert (merged.take, merged.give) == ((), ())


@pytest.mark.parametrize("is_newer_here", [True, False])
def test_a_change_on_one_side_goes_to_the_other_whoever_is_newer(is_newer_here):
    merged = merge(changed("title"), changed("time"), agreed(), is_newer_here=is_newer_here)
    assert (merged.take, merged.give) == (("time",), ("title",))
    assert merged.overwritten_here == merged.overwritten_there == ()


def test_of_two_changes_of_one_field_the_newer_wins_and_the_other_is_named():
    here, there = changed("title", to="here"), changed("title", to="there")
    ours = merge(here, there, agreed(), is_newer_here=True)
    assert (ours.take, ours.give, ours.overwritten_there) == ((), ("title",), ("title",))
    theirs = merge(here, there, agreed(), is_newer_here=False)
    assert (theirs.take, theirs.give, theirs.overwritten_here) == (("title",), (), ("title",))


def test_the_same_change_on_both_sides_is_none():
    merged = merge(changed("title"), changed("title"), agreed(), is_newer_here=False)
    assert (merged.take, merged.give) == ((), ())
    assert merged.agreed.here["title"] == merged.agreed.there["title"] == "x title"


def test_what_was_overwritten_once_is_not_named_again():
    """The write is still to come; a second look at the same event decides nothing anew."""
    here, there = changed("title", to="here"), changed("title", to="there")
    once = merge(here, there, agreed(), is_newer_here=True)
    again = merge(here, there, once.agreed, is_newer_here=False)
    assert (again.take, again.give, again.overwritten_there) == ((), ("title",), ())


def test_our_own_write_is_no_change_of_theirs_though_its_answer_was_lost():
    sent = {"title": "here title"}
    newest_here = changed("title", to="newest")
    there = {**BASE, "title": "here title"}
    merged = merge(newest_here, there, agreed(sent=sent), is_newer_here=False)
    assert (merged.take, merged.give) == ((), ("title",))
    assert merged.overwritten_there == ()
    assert merged.agreed.sent == {}


def test_what_a_provider_made_of_our_text_is_no_change():
    cut = {**BASE, "title": "Call A"}
    memory = Agreed(here=dict(BASE), there=dict(cut))
    merged = merge(BASE, cut, memory, is_newer_here=False)
    assert (merged.take, merged.give) == ((), ())


def test_the_card_never_comes_in():
    merged = merge(BASE, changed("card"), agreed(), is_newer_here=False)
    assert (merged.take, merged.give) == ((), ())
    written = merge(changed("card"), changed("card", to="y"), agreed(), is_newer_here=False)
    assert (written.take, written.give, written.overwritten_there) == ((), ("card",), ("card",))


def test_writing_the_note_writes_the_card_and_says_so():
    merged = merge(changed("note"), changed("card"), agreed(), is_newer_here=True)
    assert set(merged.give) == {"note", "card"}
    assert merged.overwritten_there == ("card",)


@given(
    here=st.sets(st.sampled_from(FIELDS)),
    there=st.sets(st.sampled_from(FIELDS)),
    is_newer_here=st.booleans(),
)
def test_each_field_goes_one_way_at_most_and_no_change_is_forgotten(here, there, is_newer_here):
    merged = merge(
        changed(*here, to="here"),
        changed(*there, to="there"),
        agreed(),
        is_newer_here=is_newer_here,
    )
    take, give = set(merged.take), set(merged.give)
    assert not take & give
    assert here - there <= give
    assert there - here - {"card"} <= take
    for name in here & there:
        assert name in take | give
        assert name in {*merged.overwritten_here, *merged.overwritten_there}
    assert take <= there
    assert give <= here | {"card"}


# --- fingerprints ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "same",
    [
        {"title": "  Call   Ana "},
        {"note": "\n About  rates \n\n"},
        {"time": EventTime(START.replace(microsecond=5), START.replace(hour=10), time_zone="UTC")},
    ],
)
def test_blanks_fractions_and_the_zones_name_make_no_difference(same):
    assert prints(replace(CONTENT, **same)) == BASE


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("title", "Call ana"),
        ("note", "About\nrates"),
        ("location", ""),
        ("card", "Ana"),
        ("time", EventTime(START, START.replace(hour=11))),
        ("time", EventTime(first_day=date(2026, 11, 23), last_day=date(2026, 11, 23))),
    ],
)
def test_each_real_difference_shows(name, value):
    different = prints(replace(CONTENT, **{name: value}))
    assert {key for key in FIELDS if different[key] != BASE[key]} == {name}


def test_the_memory_survives_being_stored():
    memory = agreed(sent={"title": "x"})
    assert Agreed.read(memory.written()) == memory
    assert Agreed.read({}) == Agreed()
