"""Dates as mail programs write them above a forwarded message, in the languages of the table.

Month and day names are CLDR's (babel). A date is taken apart into day, month, year, time and zone;
what makes no date that exists is none. Nothing here raises, and no part is guessed: where a text
has several readings, the day of the week decides, then the time of the forward.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache

from babel import Locale
from msgspec import Struct

from email_sync.forwarded_labels import LANGUAGES, comparable, visible

_MAX_TEXT = 120
#: The original is older than its forward; clocks and zones differ by less than this.
_TOLERANCE = timedelta(hours=26)
#: Thai programs count the years from the Buddha.
_BUDDHIST = 543

_CJK_DATE = re.compile(r"(?<!\d)(\d{4})\s?[年년]\s?(\d{1,2})\s?[月월]\s?(\d{1,2})\s?[日일]?")
_NUMERIC_DATE = re.compile(r"(?<!\d)(\d{1,4})\s?([./-])\s?(\d{1,2})\s?\2\s?(\d{1,4})(?!\d)")
_CLOCKS = (
    re.compile(r"(?<!\d)(?<![\s(TC][+-])(\d{1,2})\s?:\s?(\d{2})(?:\s?[:.]\s?(\d{2}))?(?!\d)"),
    re.compile(
        r"(?<!\d)(\d{1,2})\s?[時时点點시]\s?(?:(\d{1,2})\s?[分분])?\s?(?:(\d{1,2})\s?[秒초])?"
    ),
    re.compile(r"(?<!\d)(\d{1,2})\s?[hH]\s?(\d{2})()(?!\d)"),
    re.compile(r"(?<![\d.])(\d{1,2})\.(\d{2})(?:\.(\d{2}))?(?![\d.])"),
    re.compile(r"(?<!\d)(\d{1,2})()()(?=\s?[ap]\.?\s?m\b)", re.IGNORECASE),
)
_OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})(?!\d)")
_NAMED_OFFSET = re.compile(r"\b(?:UTC|GMT)\s?([+-])\s?(\d{1,2})(?::?(\d{2}))?")
_LONG_ZONE = re.compile(r"(?:[A-Z][a-z]+ ){1,3}Time\b")
_YEAR = re.compile(r"(?:19|20|21|24|25)\d\d")
#: A letter, or a vowel sign of Devanagari or Thai, which Python counts as no part of a word.
_LETTER = r"(?:[^\W\d_]|[\u0900-\u0903\u093a-\u094f\u0e31\u0e34-\u0e3a\u0e47-\u0e4e])"
_TOKEN = re.compile(rf"\d+|{_LETTER}+(?:[׳״]{_LETTER}+)*")
_VIETNAMESE_MONTH = re.compile(r"\b(?:tháng|thg)\s?(\d{1,2})", re.IGNORECASE)
_MINUS = str.maketrans("−–—‑", "----")

_MORNING = (
    "am", "a.m", "a. m", "上午", "凌晨", "清晨", "早上", "午前", "오전", "π.μ", "πμ", "ص", "صباحا",
    "öö", "sa", "de.", "ap.", "dop.", "пр.об", "de la mañana", "da manhã", "לפנה״צ",
)  # fmt: skip
_AFTERNOON = (
    "pm", "p.m", "p. m", "下午", "傍晚", "晚上", "中午", "午後", "오후", "저녁", "밤", "μ.μ", "μμ",
    "م", "مساء", "ös", "ch", "du.", "ip.", "odp.", "сл.об", "de la tarde", "de la noche",
    "da tarde", "da noite", "אחה״צ",
)  # fmt: skip

#: Minutes east of Greenwich. Of a name with several meanings the one seen in mail programs.
_ZONES = {
    "utc": 0, "gmt": 0, "ut": 0, "z": 0, "wet": 0, "west": 60, "bst": 60, "cet": 60, "cest": 120,
    "mez": 60, "mesz": 120, "seč": 60, "selč": 120, "hnec": 60, "haec": 120, "eet": 120,
    "eest": 180, "msk": 180, "мск": 180, "trt": 180, "idt": 180, "sast": 120, "wat": 60,
    "cat": 120, "eat": 180, "gst": 240, "pkt": 300, "ist": 330, "ict": 420, "wib": 420, "sgt": 480,
    "hkt": 480, "awst": 480, "jst": 540, "kst": 540, "acst": 570, "aest": 600, "aedt": 660,
    "nzst": 720, "nzdt": 780, "nst": -210, "ndt": -150, "adt": -180, "brt": -180, "art": -180,
    "ast": -240, "edt": -240, "clt": -240, "est": -300, "cdt": -300, "cot": -300, "cst": -360,
    "mdt": -360, "mst": -420, "pdt": -420, "pst": -480, "akdt": -480, "akst": -540, "hst": -600,
}  # fmt: skip


class Written(Struct, frozen=True):
    """A date as it was read: aware, or None; `has_zone` says whether the zone was written too."""

    date: datetime | None = None
    has_zone: bool = False


def parse(
    text: str, *, languages: Sequence[str] = (), zone: tzinfo = UTC, sent: datetime | None = None
) -> Written:
    """The date written by a mail program that speaks one of `languages`, likelier ones first.

    Without a zone it is taken in `zone`. `sent` is when the forward was sent: of several readings
    (3/4/2025 in English) the nearest one before it is meant.
    """
    plain = _plain(text)
    match = _CJK_DATE.search(plain) or _full_numeric(plain)
    if match:
        rest = _without(plain, match)
        days = _by_weekday(_numeric_days(match, languages), rest, languages)
    else:
        clock = _clock(plain)
        days = _named_days(_without(plain, clock.match) if clock else plain, languages)
        rest = plain
        if not days and (match := _NUMERIC_DATE.search(plain)):
            rest = _without(plain, match)
            days = _by_weekday(_numeric_days(match, languages), rest, languages)
    return _at_time(_likeliest(days, sent), rest, zone)


def has_clock(text: str) -> bool:
    """Whether a time of day is written beside the date, as mail programs do."""
    plain = _plain(text)
    match = _CJK_DATE.search(plain) or _full_numeric(plain)
    return _clock(_without(plain, match) if match else plain) is not None


def _plain(text: str) -> str:
    """The text with ASCII digits and hyphens, simple blanks, and without invisible marks."""
    text = unicodedata.normalize("NFKC", visible(text[: 2 * _MAX_TEXT])).translate(_MINUS)
    digits = (str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text)
    return " ".join("".join(digits).split())[:_MAX_TEXT]


def _without(text: str, match: re.Match[str]) -> str:
    return f"{text[: match.start()]} , {text[match.end() :]}"


def _full_numeric(text: str) -> re.Match[str] | None:
    """A date in numbers with a year of four digits: “17.55.44” may be a time."""
    for match in _NUMERIC_DATE.finditer(text):
        if 4 in (len(match.group(1)), len(match.group(4))):
            return match
    return None


def _likeliest(days: Sequence[date], sent: datetime | None) -> date | None:
    if sent and len(days) > 1:
        past = [day for day in days if day <= (sent + _TOLERANCE).date()]
        return max(past, default=days[0])
    return days[0] if days else None


def _at_time(day: date | None, rest: str, zone: tzinfo) -> Written:
    if day is None:
        return Written()
    clock = _clock(rest)
    hour, minute, second = clock.time if clock else (0, 0, 0)
    offset = _offset(rest, clock.match) if clock else None
    try:
        if offset is not None:
            zone = timezone(timedelta(minutes=offset))
        found = datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=zone)
        found.astimezone(UTC)  # what does not exist there can be neither stored nor compared
    except (ValueError, OverflowError):
        return Written()
    return Written(date=found, has_zone=offset is not None)


# --- the time of day and its zone -----------------------------------------------------------------


class _Clock(Struct, frozen=True):
    match: re.Match[str]
    time: tuple[int, int, int]


def _clock(text: str) -> _Clock | None:
    for pattern in _CLOCKS:
        for match in pattern.finditer(text):
            hour, minute, second = (int(group or 0) for group in match.groups())
            hour = _hour(hour, text[: match.start()], text[match.end() :])
            if hour < 24 and minute < 60 and second < 61:
                return _Clock(match=match, time=(hour, minute, min(second, 59)))
    return None


def _hour(hour: int, before: str, after: str) -> int:
    """The hour of 24, by the word for the half of the day before or after the time."""
    before = before.casefold().rstrip(" ,(")
    after = after.casefold().lstrip(" ,(")
    if hour < 12 and _has_word(_AFTERNOON, before, after):
        return hour + 12
    if hour == 12 and _has_word(_MORNING, before, after):
        return 0
    return hour


def _has_word(words: Iterable[str], before: str, after: str) -> bool:
    for word in words:
        if after.startswith(word) and not after[len(word) : len(word) + 1].isalpha():
            return True
        if len(word) > 1 and before.endswith(word) and not before[: -len(word)][-1:].isalpha():
            return True
    return False


def _offset(text: str, clock: re.Match[str]) -> int | None:
    """Minutes east of Greenwich, as written behind the time or before it; None for no zone."""
    after = text[clock.end() :]
    if match := _OFFSET.search(after) or _NAMED_OFFSET.search(text):
        sign, hours, minutes = match.groups()
        total = int(hours) * 60 + int(minutes or 0)
        return -total if sign == "-" else total
    names = [word.casefold() for word in _TOKEN.findall(after)]
    if match := _LONG_ZONE.search(after):  # "Central European Summer Time"
        names.append("".join(word[0] for word in match.group().split()).casefold())
    return next((_ZONES[name] for name in names if name in _ZONES), None)


# --- the day --------------------------------------------------------------------------------------


class _Names(Struct, frozen=True):
    """A language's names, comparable: months by number, weekdays by number (Monday is 0).

    `order` is that of a date in numbers, such as “dmy”.
    """

    months: dict[str, int]
    weekdays: dict[str, frozenset[int]]
    order: str


def _numeric_days(match: re.Match[str], languages: Sequence[str]) -> list[date]:
    """The days that a date in numbers may mean, likelier ones first."""
    groups = match.groups()
    separator = groups[1] if len(groups) == 4 else "."
    first, second, third = (groups[0], groups[-2], groups[-1])
    if len(first) == 4:
        orders = ["ymd"]
    elif separator == "." and len(third) == 4:
        orders = ["dmy"]
    else:
        orders = [_names(language).order for language in languages] or ["dmy"]
        if any(language in {"en", "ja"} for language in languages):
            orders += ["mdy", "dmy"]  # English is also that of users elsewhere
        if len(third) == 4:
            orders = [order if order != "ymd" else "dmy" for order in orders]
    days = []
    for order in dict.fromkeys(orders):
        parts = dict(zip(order, (first, second, third), strict=True))
        days.append(_day(parts["y"], int(parts["m"]), int(parts["d"])))
    return list(dict.fromkeys(day for day in days if day))


def _day(year: str, month: int, day: int) -> date | None:
    number = int(year)
    if len(year) <= 2:
        number += 2000 if number < 70 else 1900
    elif 2400 < number < 2700:
        number -= _BUDDHIST
    try:
        return date(number, month, day) if 1970 <= number <= 2200 else None
    except ValueError:
        return None


def _by_weekday(days: list[date], rest: str, languages: Sequence[str]) -> list[date]:
    """The days that fall on the weekday which the text names; all where it names none of theirs."""
    if len(days) < 2:
        return days
    named = set[int]()
    for language in languages:
        for _, word in _words(rest):
            named |= _names(language).weekdays.get(word, frozenset())
    return [day for day in days if day.weekday() in named] or days


def _named_days(text: str, languages: Sequence[str]) -> list[date]:
    """The days that a date with a month's name may mean, in the languages that explain it best."""
    if not any(c.isdigit() for c in text) or not any(c.isalpha() for c in text):
        return []
    likely = tuple(language for language in languages if language in LANGUAGES)
    for group in (likely, tuple(LANGUAGES)):
        readings = [reading for language in group for reading in _read_in(text, language)]
        if readings:
            best = max(known for known, _ in readings)
            return list(dict.fromkeys(day for known, day in readings if known == best))
    return []


def _words(text: str) -> list[tuple[int, str]]:
    """The words and numbers of a text, comparable, with where they begin."""
    return [(match.start(), comparable(match.group())) for match in _TOKEN.finditer(text)]


def _read_in(text: str, language: str) -> Iterator[tuple[int, date]]:
    """The day as one language reads it, and how many words of the text that language knows."""
    names = _names(language)
    text = _VIETNAMESE_MONTH.sub(r" month \1 ", text) if language == "vi" else text
    words = [word for _, word in _words(text)]
    months = _months(words, names)
    weekdays = [names.weekdays[word] for word in words if word in names.weekdays]
    for index, (month, length) in months.items():
        day, year = _day_and_year(words, index, length)
        if day and year and (found := _day(year, month, int(day))):
            agrees = any(found.weekday() in weekday for weekday in weekdays)
            yield len(months) + len(weekdays) + 2 * agrees, found


def _months(words: Sequence[str], names: _Names) -> dict[int, tuple[int, int]]:
    """By the position of each month's name: the month, and how many words its name has."""
    found: dict[int, tuple[int, int]] = {}
    for index, word in enumerate(words):
        pair = " ".join(words[index : index + 2])
        if pair in names.months:
            found[index] = (names.months[pair], 2)
        elif month := names.months.get(word) or names.months.get(_accentless(word)):
            found[index] = (month, 1)
    if not found:
        for index, word in enumerate(words):
            if month := _abbreviated(word, names):
                found[index] = (month, 1)
    # "mar. 2 nov." is a Tuesday in November, although "mar." is March as well.
    certain = {index: month for index, month in found.items() if words[index] not in names.weekdays}
    return certain or found


def _abbreviated(word: str, names: _Names) -> int | None:
    """The month of which the word is another abbreviation than CLDR's: “lokak.”, “sept”."""
    if len(word) < 3 or word.isdigit() or word in names.weekdays:
        return None
    months = {month for name, month in names.months.items() if name.startswith(word)}
    return months.pop() if len(months) == 1 else None


def _day_and_year(words: Sequence[str], index: int, length: int) -> tuple[str, str]:
    """The day and the year around a month's name; "" for what is not there."""
    after = words[index + length :]
    years = [word for word in (*after, *reversed(words[:index])) if _YEAR.fullmatch(word)]
    day = ""
    for word in reversed(words[max(0, index - 3) : index]):
        if word.isdigit():
            day = word if len(word) <= 2 else ""
            break
    if not day:
        day = next((word for word in after[:2] if word.isdigit() and len(word) <= 2), "")
        return day, next(iter(years), "")
    short = next((word for word in after[:2] if word.isdigit()), "")
    return day, next(iter(years), short if len(short) == 2 else "")


@lru_cache(maxsize=64)
def _names(language: str) -> _Names:
    months: dict[str, int] = {}
    weekdays: dict[str, set[int]] = {}
    order = "dmy"
    block = LANGUAGES.get(language)
    for index, code in enumerate(block.locales if block else ()):
        locale = Locale.parse(code)
        for context in ("format", "stand-alone"):
            for width in ("wide", "abbreviated"):
                for number, name in locale.months[context][width].items():
                    for form in _forms(name, language):
                        months.setdefault(form, number)
                for number, name in locale.days[context][width].items():
                    for form in _forms(name, language):
                        weekdays.setdefault(form, set()).add(number)
        if index == 0:
            pattern = locale.date_formats["short"].pattern.lower()
            order = "".join(sorted("dmy", key=pattern.find))
    if language == "vi":
        months |= {f"month {number}": number for number in range(1, 13)}
    return _Names(
        months=months,
        weekdays={name: frozenset(numbers) for name, numbers in weekdays.items()},
        order=order,
    )


def _forms(name: str, language: str) -> Iterator[str]:
    """A name as the words of a text are compared: without full stops, with and without accents."""
    words = " ".join(_TOKEN.findall(comparable(name)))
    yield words
    yield _accentless(words)
    if language == "he":
        yield f"ב{words}"  # “in March” is one word


def _accentless(word: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c))
