"""The sentence that some programs write above an original: “On 6 May, Ana <ana@x> wrote:”."""

import re
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from email_sync import forwarded_dates
from email_sync.forwarded_labels import (
    Separator,
    label_of,
    languages_of_writing,
    visible,
    without_fringe,
)
from email_sync.forwarded_lines import Line

_MAX_LINES = 3
_MAX_SENTENCE = 400

_BRACKETED = re.compile(r"[(\[]?<[^<>\s]*@[^<>]*>[)\]]?|[(\[][^()\[\]\s]*@[^()\[\]]*[)\]]")
_CLOCK = re.compile(
    r"\d{1,2}\s?[:.]\s?\d{2}(?:\s?[:.]\s?\d{2})?|\d{1,2}\s?[時时点시]|\d{1,2}\s?h\s?\d{2}"
)
#: What belongs to the time before it: halves of the day and zones.
_BEHIND_CLOCK = re.compile(
    r"\s?(?:[apAPπμ]\.?\s?[mMμ]\.?(?!\w)|(?:UTC|GMT)(?:\s?[+−–-]\s?\d{1,2}(?::?\d{2})?)?(?!\w)"
    r"|[+−-]\d{4}|\(?[A-Z]{3,4}\)?(?!\w)|Uhr|[分秒]|\d{1,2}\s?[分분초秒])"
)
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_QUOTES = "\"'“”„«»‘’ "


class Attribution(Struct, frozen=True):
    """Who wrote, and when, as the sentence says; lines `first` to `after` (exclusive)."""

    sender: str
    date: str
    languages: tuple[str, ...] = ()
    first: int = 0
    after: int = 0
    depth: int = 0
    separator: Separator | Literal[""] = ""


def may_be_attribution(line: Line) -> bool:
    """A quick look whether a line may begin such a sentence."""
    text = line.text
    return ("@" in line.linked or any(c.isdigit() for c in text[:_MAX_SENTENCE])) and (
        ":" in text or "：" in text or "@" in line.linked
    )


def attribution_at(lines: Sequence[Line], index: int) -> Attribution | None:
    """The attribution that begins with this line, folded or not; None where it is none."""
    depth = lines[index].depth
    sentence = ""
    for after in range(index, min(index + _MAX_LINES, len(lines))):
        line = lines[after]
        if line.is_blank or line.depth != depth or len(sentence) > _MAX_SENTENCE:
            return None
        sentence = f"{sentence} {visible(line.linked).strip()}".strip()
        if not sentence.endswith((":", "：")):
            continue
        found = _taken_apart(sentence[:-1].strip()) if len(sentence) <= _MAX_SENTENCE else None
        if found is None or label_of(lines[index].linked):
            return None
        return replace(found, first=index, after=after + 1, depth=depth)
    return None


def _taken_apart(sentence: str) -> Attribution | None:
    """Who and when; None where the sentence does not say that somebody wrote.

    It must name an address and a date, or say “wrote” with one of the two.
    """
    bracketed = _last_match(_BRACKETED, sentence)
    languages = languages_of_writing(sentence)
    before = sentence[: bracketed.start()] if bracketed else sentence
    if _CLOCK.search(before) or _YEAR.search(before):
        date, name = _date_and_name(before)
    else:
        behind = sentence[bracketed.end() :] if bracketed else ""
        date, name = without_fringe(behind), without_fringe(before)
    evidence = (bracketed is not None) + bool(languages)
    if not evidence or not (name or bracketed):
        return None
    has_date = forwarded_dates.parse(date, languages=languages).date is not None
    if evidence + has_date < 2:
        return None
    address = f" <{bracketed.group().strip('()[]<> ')}>" if bracketed else ""
    return Attribution(
        sender=f"{name.strip(_QUOTES)}{address}".strip(),
        date=date if has_date else "",
        languages=languages,
    )


def _date_and_name(text: str) -> tuple[str, str]:
    """A text in which a date stands before a name."""
    last = _last_match(_CLOCK, text) or _last_match(_YEAR, text)
    end = last.end() if last else 0
    while behind := _BEHIND_CLOCK.match(text, end):
        end = behind.end()
    return without_fringe(text[:end], is_end_kept=True), without_fringe(text[end:]).strip(_QUOTES)


def _last_match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    matches = list(pattern.finditer(text))
    return matches[-1] if matches else None
