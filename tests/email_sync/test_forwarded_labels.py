"""The table of labels, and how lines are compared with it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from email_sync.forwarded_labels import (
    FIELDS,
    LANGUAGES,
    bare_label_of,
    comparable,
    label_of,
    separator_of,
    writer_in,
)

#: Of an Arabic word the value tells which it is.
SENDER_AND_TIME = "المرسل"


def test_the_languages_that_were_asked_for_are_there():
    asked = "da de en es et fi fr hr hu it nl no pl pt pt-br ro ru sk sv tr uk cs ja ko ar he el"
    assert {*asked.split(), "zh-hans", "zh-hant"} <= set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_label_and_separator_of_the_table_is_recognised(language):
    block = LANGUAGES[language]
    for field in FIELDS:
        for word in block.labels(field):
            label = label_of(f"{word}: x@y.example")
            assert label is not None
            assert label.field == field or comparable(word) == SENDER_AND_TIME
    for phrase in (*block.forwarded, *block.original):
        assert separator_of(f"-------- {phrase} --------") is not None, phrase


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_word_means_one_thing_in_its_language(language):
    block = LANGUAGES[language]
    words = [comparable(word) for field in FIELDS for word in block.labels(field)]
    twice = {word for word in words if words.count(word) > 1}
    assert twice <= {SENDER_AND_TIME}


@pytest.mark.parametrize(
    "line",
    [
        "From: Ana",
        "  From :\tAna",
        "*From:* Ana",
        "*From*: Ana",
        "**From:** Ana",
        "FROM: Ana",
        "From：Ana",
        "From\tAna",
        "\N{RIGHT-TO-LEFT MARK}From\N{NO-BREAK SPACE}: Ana",
        "Ｆｒｏｍ: Ana",
    ],
)
def test_a_label_is_the_same_however_it_is_written(line):
    label = label_of(line)
    assert label is not None
    assert (label.field, label.value) == ("from", "Ana")


@pytest.mark.parametrize("line", ["ΑΠΟ: x", "KİMDEN: x", "GONDEREN: x", "Fra: x", "من: x", "مِن: x"])
def test_capitals_and_missing_accents_do_not_matter(line):
    label = label_of(line)
    assert label is not None
    assert label.field == "from"


@pytest.mark.parametrize("line", ["From Ana", "Fromage: x", "a From: x", "x" * 50 + ": y", ":", ""])
def test_other_lines_have_no_label(line):
    assert label_of(line) is None


def test_marks_that_belong_to_the_value_stay():
    label = label_of("Subject: ***URGENT*** offer")
    assert label is not None
    assert label.value == "***URGENT*** offer"


def test_a_label_without_a_colon_is_read_where_it_is_asked_for():
    label = bare_label_of('From "Ana" <ana@x.example>')
    assert label is not None
    assert (label.field, label.value) == ("from", '"Ana" <ana@x.example>')
    assert bare_label_of("Fromage x") is None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("---------- Forwarded message ---------", ("forward", "")),
        ("Begin forwarded message:", ("forward", "")),
        ("-------- Preposlaná správa --- Forwarded Message --------", ("forward", "")),
        ("----- Forwarded by Mia/N on 05/06/2025 -----", ("forward", "")),
        ("----- Forwarded Message ----- From: Ana", ("forward", "From: Ana")),
        ("-----Original Message-----", ("original", "")),
        ("----- End forwarded message -----", ("end", "")),
        ("________________________________", ("rule", "")),
        ("-------- Xy zz --------", ("unknown", "")),
        ("-- ", None),
        ("--- a word", None),
        ("Forwarded message from my phone", None),
        ("- Forwarded message", None),
        ("", None),
    ],
)
def test_separators(line, expected):
    assert separator_of(line) == expected


@pytest.mark.parametrize(
    ("written", "writer"),
    [
        ("Ana <ana@x.example>", "Ana <ana@x.example>"),
        ("list@x.example <list@x.example> on behalf of Ana <ana@x.example>", "Ana <ana@x.example>"),
        ("list@x.example; im Auftrag von; Ana <ana@x.example>", "Ana <ana@x.example>"),
        ("Ana <ana@x.example> on behalf of sales@x.example", "Ana <ana@x.example>"),
    ],
)
def test_of_two_senders_the_one_who_wrote(written, writer):
    assert writer_in(written) == writer


@given(st.text(max_size=100))
def test_any_line_is_compared(line):
    label_of(line)
    bare_label_of(line)
    separator_of(line)
    writer_in(line)


def test_an_arabic_word_for_two_things_is_told_by_its_value():
    sender, time = label_of("المرسل: Ana <ana@x.example>"), label_of("المرسل: 6 مايو 2025 16:42")
    assert sender is not None
    assert time is not None
    assert (sender.field, time.field) == ("from", "date")
