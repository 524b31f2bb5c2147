"""The words by which a forward is recognised: `forwarded_labels.toml`, ready for looking up."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

Field = Literal["from", "to", "cc", "date", "subject", "other"]
FIELDS: tuple[Field, ...] = ("from", "to", "cc", "date", "subject", "other")
#: forward: only forwards have it. original: replies have it too. rule: a mere line. unknown: dashes
#: around words of no known language.
Separator = Literal["forward", "original", "end", "rule", "unknown"]

_MAX_LABEL = 40
_MAX_SEPARATOR = 300

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
#: Arabic and Hebrew are written with and without them.
_VOWEL_SIGNS = re.compile("[\u0591-\u05c7\u0640\u064b-\u0652]")
_BLANKS = re.compile(r"\s+")
_COLON = re.compile(r"[:：﹕︰]")
_BULLETS = "# \t•·"
_DASHES = "-=_*~#–—―─ \t\xa0|+"
_PUNCTUATION = " \t,;:：-–"
#: From here on (CJK and Korean) words are written without blanks between them.
_NO_BLANKS = "\u3000"
_RULE = re.compile(r"[-_=*–—─]{16,}")
_DASHED = re.compile(r"[-=_–—─]{3,}")


class Language(Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """One block of the table; see its head for what each list holds."""

    locales: tuple[str, ...]
    from_: tuple[str, ...]
    to: tuple[str, ...]
    cc: tuple[str, ...]
    date: tuple[str, ...]
    subject: tuple[str, ...]
    forwarded: tuple[str, ...]
    original: tuple[str, ...]
    forward_prefixes: tuple[str, ...]
    wrote: tuple[str, ...]
    beside: tuple[str, ...] = ()
    reply_prefixes: tuple[str, ...] = ()
    on_behalf: tuple[str, ...] = ()
    end: tuple[str, ...] = ()
    other: tuple[str, ...] = ()

    def labels(self, field: Field) -> tuple[str, ...]:
        labels: tuple[str, ...] = getattr(self, "from_" if field == "from" else field)
        return labels


class Label(Struct, frozen=True):
    """“Subject: Spring” as its field, value, and the languages that call the field so.

    `word` is the label itself in the form in which it is looked up.
    """

    field: Field
    value: str
    languages: frozenset[str]
    word: str = ""


LANGUAGES: dict[str, Language] = msgspec.toml.decode(
    Path(__file__).with_suffix(".toml").read_bytes(), type=dict[str, Language]
)


def visible(text: str) -> str:
    """The text without what is not seen: marks of direction, zero-width and soft characters."""
    return _INVISIBLE.sub("", text)


def comparable(text: str) -> str:
    """The form in which words of the table are compared."""
    folded = unicodedata.normalize("NFKC", visible(text)).casefold()
    plain = _VOWEL_SIGNS.sub("", unicodedata.normalize("NFKC", folded))
    return _BLANKS.sub(" ", plain.replace("’", "'")).strip()


def _key(text: str) -> str:
    """The form in which labels are looked up: comparable, and without accents.

    Capitals are often written without them (ΑΠΟ, ENVOYE), and “İ” and “I” are two Turkish letters.
    """
    plain = comparable(text)
    if plain.isascii():
        return plain
    letters = unicodedata.normalize("NFD", plain.replace("ı", "i"))
    return "".join(c for c in letters if not unicodedata.combining(c))


def _table(lists: Iterable[tuple[str, Iterable[str]]]) -> dict[str, frozenset[str]]:
    """Each word with the languages that have it."""
    table: dict[str, set[str]] = {}
    for language, words in lists:
        for word in words:
            table.setdefault(comparable(word), set()).add(language)
    return {word: frozenset(languages) for word, languages in table.items()}


_LABELS: dict[str, dict[Field, frozenset[str]]] = {}
for _field in FIELDS:
    for _name, _language in LANGUAGES.items():
        for _word in _language.labels(_field):
            _entry = _LABELS.setdefault(_key(_word), {})
            _entry[_field] = _entry.get(_field, frozenset()) | {_name}

_SEPARATORS: dict[str, Separator] = {}
for _language in LANGUAGES.values():
    for _phrase in _language.original:
        _SEPARATORS.setdefault(_key(_phrase), "original")
    for _phrase in _language.forwarded:
        _SEPARATORS[_key(_phrase)] = "forward"
    for _phrase in _language.end:
        _SEPARATORS[_key(_phrase)] = "end"
#: “Forwarded by Ana on …”, “Forwarded message from ana@x”, “End of …”: the phrase and more.
_OPENINGS = tuple(phrase for phrase in _SEPARATORS if len(phrase) > 8)

_WROTE = _table((name, language.wrote) for name, language in LANGUAGES.items())
_BESIDE = _table((name, language.beside) for name, language in LANGUAGES.items())
_ON_BEHALF = re.compile(
    "|".join(
        rf"[\s;]{re.escape(words)}[\s;:]" for one in LANGUAGES.values() for words in one.on_behalf
    ),
    re.IGNORECASE,
)
#: A display name before an address; “a@x <a@x>” has none.
_NAME_BEFORE = re.compile(r"[^<>@\[\]]*[^\W\d_][^<>@\[\]]*[<\[]")
_FRINGE = (*sorted(_WROTE, key=len, reverse=True), *sorted(_BESIDE, key=len, reverse=True))


def label_of(line: str) -> Label | None:
    """The label at the beginning of a line, if a mail program of any language writes it so.

    Bold (*From:*) and full-width forms are understood, and a tab in place of the colon.
    """
    split = _split_label(line)
    if split is None:
        key, tab, value = visible(line).strip().partition("\t")
        split = (key, value) if tab and len(key) <= _MAX_LABEL else None
    return _label(*split) if split else None


def _split_label(line: str) -> tuple[str, str] | None:
    """What stands before and after the first colon, without the marks of bold type around it."""
    start = visible(line).lstrip(_BULLETS)
    bare = start.lstrip("*_")
    colon = _COLON.search(bare, 0, _MAX_LABEL + 1)
    if colon is None:
        return None
    bold = start[: len(start) - len(bare)]
    value = bare[colon.end() :].strip()
    return bare[: colon.start()].strip(_BULLETS + "*_"), value.removeprefix(bold).strip()


def bare_label_of(line: str) -> Label | None:
    """The same where the program writes no colon: “From "Ana" <ana@x>”."""
    words = line.strip().split(" ", 2)
    for count in (1, 2):
        if len(words) > count and (found := _label(" ".join(words[:count]), "")):
            return replace(found, value=" ".join(words[count:]).strip())
    return None


def _label(key: str, value: str) -> Label | None:
    word = _key(key)
    entry = _LABELS.get(word)
    if entry is None:
        return None
    fields = iter(entry)
    field = next(fields)
    if len(entry) > 1 and field == "from" and "@" not in value and any(c.isdigit() for c in value):
        field = next(fields)  # an Arabic word is that of the sender and of the time of sending
    value = _BLANKS.sub(" ", value).strip()
    return Label(field=field, value=value, languages=entry[field], word=word)


def looks_labelled(line: str) -> tuple[str, str] | None:
    """Words and value of “Words: value” in a language that the table does not know."""
    split = _split_label(line)
    return split if split and any(c.isalpha() for c in split[0]) else None


def separator_of(line: str) -> tuple[Separator, str] | None:
    """What kind of separator a line is or begins with, and what follows it in the same line."""
    text = visible(line).strip()
    opening = _DASHED.match(text)
    if opening is None:
        return _separator_in_words(text) if len(text) <= _MAX_SEPARATOR else None
    if _RULE.fullmatch(text):
        return "rule", ""
    if len(text) <= _MAX_SEPARATOR and (kind := _SEPARATORS.get(_phrase_in(text))):
        return kind, ""
    closing = _DASHED.search(text, opening.end(), opening.end() + _MAX_SEPARATOR)
    if closing is None or not text[opening.end() : closing.start()].strip():
        return None
    named = _kind_of(text[opening.end() : closing.start()])
    rest = text[closing.end() :].strip()
    return (named or "unknown", rest) if named or not rest else None


def _separator_in_words(text: str) -> tuple[Separator, str] | None:
    """“Begin forwarded message:” stands without dashes, alone in its line."""
    kind = _SEPARATORS.get(_key(text.rstrip(":： \t")))
    return (kind, "") if kind else None


def _phrase_in(words: str) -> str:
    return _key(words.strip(_DASHES).rstrip(":： "))


def _kind_of(words: str) -> Separator | None:
    phrase = _phrase_in(words)
    kind = _SEPARATORS.get(phrase)
    if kind is None and len(phrase) > 8:
        opening = next((known for known in _OPENINGS if phrase.startswith(f"{known} ")), None)
        kind = _SEPARATORS[opening] if opening else None
    return kind


def labels_inside(line: str, languages: frozenset[str]) -> Iterator[tuple[int, int, Label]]:
    """The labels inside a line in which a whole header stands, with where each begins and ends.

    Programs that write so leave out the blank before a label: “… 09:26 CETSubject: …”, and some the
    colon behind it: “…example>Cc Ana”.
    """
    for match in _pattern(languages).finditer(line):
        word, colon = match.group(1, 2)
        before = line[match.start() - 1 : match.start()]
        if before.isalpha() and not (before.isupper() and len(word) > 3):
            continue
        if not colon and before != ">" and not (before.isupper() and len(word) > 3):
            continue
        if label := _label(word, ""):
            yield match.start(), match.end(), label


@lru_cache(maxsize=64)
def _pattern(languages: frozenset[str]) -> re.Pattern[str]:
    words = {
        word
        for name in languages
        for field in FIELDS
        for word in LANGUAGES[name].labels(field)
        if field != "other"
    }
    words |= {word.upper() for word in words if len(word) < 4}
    choice = "|".join(sorted(map(re.escape, words), key=len, reverse=True))
    return re.compile(rf"({choice})(?:\s?([:：])|(?=\s))")


def writer_in(sender: str) -> str:
    """Of “A on behalf of B” the one who wrote: B, unless A is a person and B a mere address."""
    match = _ON_BEHALF.search(sender)
    if match is None:
        return sender
    first, second = sender[: match.start()].strip(" ;,"), sender[match.end() :].strip(" ;,[]")
    is_person = bool(_NAME_BEFORE.match(first))
    return first if is_person and not _NAME_BEFORE.match(second) else second


def languages_of_writing(sentence: str) -> tuple[str, ...]:
    """The languages in which a sentence says that somebody wrote; none where it does not."""
    plain = comparable(sentence)
    said = (languages for word, languages in _WROTE.items() if _holds(plain, word))
    return tuple(sorted(frozenset[str]().union(*said)))


def _holds(text: str, word: str) -> bool:
    start = text.find(word)
    if start < 0:
        return False
    before, after = text[max(0, start - 1) : start], text[start + len(word) :][:1]
    return word[0] >= _NO_BLANKS or not (before.isalpha() or after.isalpha())


def without_fringe(text: str, *, is_end_kept: bool = False) -> str:
    """The text without the words of an attribution at its ends: “at”, “wrote”, commas.

    `is_end_kept` where it ends in a time: AM is a word of German attributions as well.
    """
    text = text.strip(_PUNCTUATION)
    for _ in range(8):
        shorter = _without_first(text)
        if shorter == text and not is_end_kept:
            shorter = _without_last(text)
        if shorter == text:
            break
        text = shorter.strip(_PUNCTUATION)
    return text


def _without_first(text: str) -> str:
    plain = text.casefold()
    for word in _FRINGE:
        rest = plain.removeprefix(word)
        if rest != plain and (word[0] >= _NO_BLANKS or not rest[:1].isalnum()):
            return text[len(word) :]
    return text


def _without_last(text: str) -> str:
    plain = text.casefold()
    for word in _FRINGE:
        rest = plain.removesuffix(word)
        if rest != plain and (word[0] >= _NO_BLANKS or not rest[-1:].isalnum()):
            return text[: len(text) - len(word)]
    return text
