"""Dates as mail programs write them."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from babel import Locale
from babel.dates import format_date
from hypothesis import given
from hypothesis import strategies as st

from email_sync.forwarded_dates import has_clock, parse
from email_sync.forwarded_labels import LANGUAGES

STOCKHOLM = timezone(timedelta(hours=2))
SENT = datetime(2025, 5, 7, 18, 0, tzinfo=STOCKHOLM)


def read(text: str, *languages: str) -> str:
    written = parse(text, languages=languages, zone=STOCKHOLM, sent=SENT)
    return written.date.isoformat() if written.date else ""


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "Tue, 6 May 2025 16:42:08 +0100", "2025-05-06T16:42:08+01:00"),
        ("en", "May 6, 2025 at 4:42:08 PM EDT", "2025-05-06T16:42:08-04:00"),
        ("en", "On Tuesday, May 6th, 2025 at 16:42", "2025-05-06T16:42:00+02:00"),
        ("en", "6-May-25 12:05 AM", "2025-05-06T00:05:00+02:00"),
        ("en", "6 May 2025 12:05 p.m.", "2025-05-06T12:05:00+02:00"),
        ("en", "2025-05-06T16:42:08Z", "2025-05-06T16:42:08+00:00"),
        ("en", "6 May 2025 16:42:08 British Summer Time", "2025-05-06T16:42:08+01:00"),
        ("en", "6 May 2025 16:42 (GMT-03:30)", "2025-05-06T16:42:00-03:30"),
        ("de", "6. Mai 2025 um 16:42:08 MESZ", "2025-05-06T16:42:08+02:00"),
        ("cs", "6. května 2025 16:42:08 SELČ", "2025-05-06T16:42:08+02:00"),
        ("fi", "maanantai 5. toukokuuta 2025 klo 17.55.44 -0400", "2025-05-05T17:55:44-04:00"),
        ("fr", "mar. 2 nov. 2021 à 16 h 42", "2021-11-02T16:42:00+02:00"),
        ("hu", "2025. máj. 6., K 16:42", "2025-05-06T16:42:00+02:00"),
        ("el", "6 Μαΐου 2025 στις 4:42:08 μ.μ. EEST", "2025-05-06T16:42:08+03:00"),
        ("ja", "2025年5月6日(火) 16:42", "2025-05-06T16:42:00+02:00"),
        ("ko", "2025년 5월 6일 오후 4시 42분 8초 GMT+9", "2025-05-06T16:42:08+09:00"),
        ("zh-hans", "2025年5月6日星期二 GMT+08:00 16:42:08", "2025-05-06T16:42:08+08:00"),
        ("zh-hant", "2025/5/6 下午 04:42", "2025-05-06T16:42:00+02:00"),
        ("ar", "الثلاثاء، ٦ مايو ٢٠٢٥ في ٤:٤٢ م", "2025-05-06T16:42:00+02:00"),
        ("he", "יום ג׳, 6 במאי 2025 ב-16:42", "2025-05-06T16:42:00+02:00"),
        ("th", "วันอังคารที่ 6 พฤษภาคม 2568 เวลา 16:42", "2025-05-06T16:42:00+02:00"),
        ("vi", "Th 3, 6 thg 5, 2025 vào lúc 16:42", "2025-05-06T16:42:00+02:00"),
        ("sk", "ut 6. 5. 2025 o 16:42", "2025-05-06T16:42:00+02:00"),
        ("da", "06-05-2025 16:42", "2025-05-06T16:42:00+02:00"),
        ("sv", "2025-05-06 16:42", "2025-05-06T16:42:00+02:00"),
        ("es", "6 may 2025", "2025-05-06T00:00:00+02:00"),
    ],
)
def test_as_programs_write_them(language, text, expected):
    assert read(text, language) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday at 16:42",
        "30 February 2025 10:00",
        "31.04.2025 10:00",
        "99/99/9999 99:99",
        "May 2025",
        "6 May at 16:42",
        "Tue, 6 May 0025 16:42",
        "6 May 2025 16:42 +9900",
        "25:61",
        "6 \N{RIGHT-TO-LEFT MARK}",
    ],
)
def test_what_is_missing_or_impossible_is_none(text):
    assert read(text, "en") == ""


def test_whether_a_zone_was_written_is_known():
    assert parse("6 May 2025 16:42 CEST", languages=["en"]).has_zone
    assert not parse("6 May 2025 16:42", languages=["en"]).has_zone
    assert parse("6 May 2025 16:42", languages=["en"]).date == datetime(
        2025, 5, 6, 16, 42, tzinfo=UTC
    )


def test_day_or_month_first_is_told_by_the_forward_in_english():
    assert read("5/6/2025 16:42", "en").startswith("2025-05-06")  # 5 June is still to come
    assert read("4/5/2025 16:42", "en").startswith("2025-05-04")  # the nearest before
    assert read("28/4/2025 16:42", "en").startswith("2025-04-28")
    assert read("4/28/2025 4:42 PM", "en").startswith("2025-04-28")
    assert read("Sat 4/5/2025 16:42", "en").startswith("2025-04-05")  # and by the weekday before it


def test_day_or_month_first_is_told_by_the_language_elsewhere():
    assert read("4/5/2025 16:42", "fr").startswith("2025-05-04")
    assert read("04.05.2025 16:42", "en").startswith("2025-05-04")
    assert read("25/05/04 16:42", "zh-hans").startswith("2025-05-04")


def test_a_month_that_two_languages_name_alike_is_the_languages_own():
    assert read("2 listopada 2024 14:05", "pl").startswith("2024-11-02")
    assert read("2. listopada 2024. 14:05", "hr").startswith("2024-10-02")
    assert read("sob., 2 lis 2024 14:05", "hr", "cs", "pl").startswith("2024-11-02")


@pytest.mark.parametrize("language", sorted(set(LANGUAGES) - {"fa"}))  # Persian years are others
@pytest.mark.parametrize("style", ["full", "long"])
def test_every_month_of_every_language_is_read(language, style):
    for month in range(1, 13):
        day = date(2025, month, 17)
        for code in LANGUAGES[language].locales:
            text = format_date(day, style, locale=Locale.parse(code))
            assert read(f"{text} 16:42", language) == f"{day}T16:42:00+02:00", text


def test_a_time_beside_a_date_in_numbers_is_told_from_it():
    assert has_clock("06.05.2025 16.42")
    assert has_clock("Tuesday 16:42")
    assert not has_clock("06.05.2025")
    assert not has_clock("tomorrow")


@given(st.text(max_size=80), st.sampled_from(sorted(LANGUAGES)))
def test_any_text_is_read_or_none(text, language):
    written = parse(text, languages=[language], zone=STOCKHOLM, sent=SENT)
    assert written.date is None or written.date.utcoffset() is not None


@given(
    st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2100, 1, 1)),
    st.integers(-12 * 60, 14 * 60),
)
def test_what_rfc_5322_writes_is_read_back(moment, minutes):
    zone = timezone(timedelta(minutes=minutes))
    expected = moment.replace(microsecond=0, tzinfo=zone)
    text = expected.strftime("%a, %d %b %Y %H:%M:%S %z")
    assert parse(text, languages=["en"]).date == expected
