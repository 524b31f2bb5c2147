"""The texts of events: HTML or not, with our card below the line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calendar_sync.descriptions import (
    LINE,
    LONGEST_DESCRIPTION,
    card_of,
    compose,
    note_that_fits,
    readable,
    split,
)

CARD = card_of(
    contact="Ana Silva", customer="Lumen", phone="555 0100", addresses=["ana@lumen.example"]
)


def test_the_card_says_who_and_how_to_reach_them():
    assert CARD.splitlines() == ["Ana Silva (Lumen)", "555 0100", "ana@lumen.example"]
    assert card_of(contact="", customer="Lumen", phone="", addresses=[]) == "Lumen"
    assert card_of(contact="", customer="", phone="", addresses=[]) == ""


@pytest.mark.parametrize("note", ["", "About the rates", "One\n\nTwo"])
@pytest.mark.parametrize("card", ["", CARD])
def test_note_and_card_come_apart_as_they_were_put_together(note, card):
    assert split(compose(note, card)) == (note, card)


def test_without_a_card_there_is_no_line():
    assert compose("Note", "") == "Note"


@pytest.mark.parametrize("card", ["", CARD])
@pytest.mark.parametrize("length", [0, 1, 8_000, 8_192, 8_193, 20_000])
def test_a_note_is_cut_only_where_an_event_could_not_hold_it(length, card):
    note = note_that_fits("n" * length, card)
    assert len(compose(note, card)) <= LONGEST_DESCRIPTION
    assert len(note) == length or len(compose(note + "n", card)) > LONGEST_DESCRIPTION


def as_html(text: str) -> str:
    return "<html><body>" + "".join(f"<p>{line}</p>\r\n" for line in text.splitlines()) + "</body>"


@pytest.mark.parametrize(
    "form",
    [
        as_html,
        lambda text: text.replace("\n", "<br>"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("---", "—"),
        lambda text: f"<div>{text}</div>",  # Line ends are blanks in HTML.
    ],
)
def test_mail_apps_may_change_the_form_not_the_parts(form):
    note, card = split(form(compose("About the rates", CARD)))
    assert note == "About the rates"
    assert card.split() == CARD.split()


def test_who_deletes_the_line_has_a_note():
    assert split("Only this") == ("Only this", "")


def test_what_stands_above_the_line_is_the_note_whatever_stands_below():
    assert split(f"Mine\n{LINE}\nMy own addition") == ("Mine", "My own addition")


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>Two &amp; three</p>", "One\n\nTwo & three"),
        ("One<br/>Two", "One\nTwo"),
        ("<style>p { color: red }</style><script>alert(1)</script><b>Word</b>", "Word"),
        ("<p>unclosed <b>tag", "unclosed tag"),
        ("a < b and b > c", "a < b and b > c"),
        ("<Ana> said", "<Ana> said"),
        ("<title>no</title>yes<br>", "yes"),
        ("<p>" * 50_000, ""),
    ],
)
def test_html_becomes_text_and_text_stays(html, text):
    assert readable(html) == text


@given(st.text())
def test_no_text_is_too_odd(text):
    note, card = split(text)
    assert len(note) + len(card) <= len(text)


def test_a_very_long_description_is_cut():
    assert len(readable("word " * 100_000)) <= 20_000
