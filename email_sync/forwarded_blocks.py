"""Reading the header of an original: lines with labels, in all shapes that programs give them."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from email_sync import address_lists, forwarded_dates
from email_sync.forwarded_labels import (
    Field,
    Label,
    Separator,
    bare_label_of,
    label_of,
    labels_inside,
    looks_labelled,
)
from email_sync.forwarded_lines import Line, Structure, is_rule, next_written

_MAX_BLOCK_LINES = 1_500
_MAX_LABELS_IN_LINE = 200
_MAX_OTHER = 12
_MAX_GUESSED = 12
#: Programs wrap plain text at 72 to 80 characters.
_WRAPPED = range(60, 81)

_PEOPLE: tuple[Field, ...] = ("from", "to", "cc")
#: Names of header fields that some programs copy as they are: X-Spam-Score, MIME-Version.
_HEADER_NAME = re.compile(r"[A-Za-z]+(?:-[A-Za-z0-9]+)+")


class Block(Struct, frozen=True):
    """The header of an original: lines `first` to `after` (exclusive), its separator included.

    `languages` are those of the labels, likelier first. `is_guessed` says that some labels are of
    no known language and their fields were told by what they hold. `is_below_another` says that the
    remains of another header stand above, so that this may be that of a quoted message. `values` is
    empty where a separator announces a forward, but no header can be read below it.
    """

    values: dict[Field, str]
    first: int
    after: int
    depth: int
    separator: Separator | Literal[""] = ""
    languages: tuple[str, ...] = ()
    structure: Structure = ""
    is_guessed: bool = False
    is_below_another: bool = False

    @property
    def labels(self) -> frozenset[Field]:
        return frozenset(self.values) - {"other"}


def sender_of(values: dict[Field, str]) -> str:
    """The sender's address; "" where the header names none."""
    people = address_lists.parse(values.get("from", ""), limit=1)
    return people[0].address if people else ""


def read(lines: Sequence[Line], start: int, *, is_colon_needed: bool = True) -> Block | None:
    """The header that begins with this line; None for less than two labels."""
    if is_colon_needed and (block := read_one_line(lines[start].linked, lines, start)):
        return block
    return _Reader(lines, start, is_colon_needed=is_colon_needed).read()


class _Reader:
    """Reads labelled lines, with values that are folded or stand below their labels."""

    def __init__(self, lines: Sequence[Line], start: int, *, is_colon_needed: bool) -> None:
        self.lines = lines
        self.start = self.index = start
        self.is_colon_needed = is_colon_needed
        self.values: dict[Field, str] = {}
        self.words: dict[Field, str] = {}
        self.current: Field | None = None
        self.others = 0
        self.has_two_senders = False
        self.has_gaps = False  # blank lines stand between the labelled ones
        self.is_split = False  # values stand below their labels
        self.languages: Counter[str] = Counter()
        self.sender_languages: frozenset[str] = frozenset()
        self.label_free = start  # up to there no label follows, as far as has been looked

    def read(self) -> Block | None:
        limit = min(self.start + _MAX_BLOCK_LINES, len(self.lines))
        while self.index < limit and self._step():
            pass
        if len(self.values) < 2:
            return None
        ranked = [language for language, _ in self.languages.most_common()]
        # Gmail translates only the sender's label; the date is in the language of that one.
        likelier = [language for language in ranked if language in self.sender_languages]
        return Block(
            values=self.values,
            first=self.start,
            after=self.index,
            depth=self.lines[self.start].depth,
            languages=tuple(likelier or ranked),
            structure=self.lines[self.start].structure,
        )

    def _step(self) -> bool:
        """Read one line, or what is folded; False where the header has ended before it."""
        line = self.lines[self.index]
        if line.is_blank or (len(self.values) < 2 and is_rule(line)):
            return self._pass_gap()
        if line.depth != self.lines[self.start].depth:
            return False
        if label := self._label(line):
            return self._take(label)
        return self._take_value(line) or self._pass_unknown(line) or self._take_folded(line)

    def _label(self, line: Line) -> Label | None:
        return label_of(line.linked) or (
            None if self.is_colon_needed else bare_label_of(line.linked)
        )

    def _is_new(self, label: Label | None) -> bool:
        return label is not None and label.field not in self.values

    def _pass_gap(self) -> bool:
        """Blank lines belong to the header where they separate all its lines from each other."""
        following = next_written(self.lines, self.index + 1)
        if following is None:
            return False
        is_new = self._is_new(self._label(self.lines[following]))
        is_awaited = self.is_split and self.current is not None and not self._value()
        if not (is_new and (self.has_gaps or len(self.values) < 2)) and not is_awaited:
            return False
        self.has_gaps = self.has_gaps or is_new
        self.index = following
        return True

    def _value(self) -> str:
        return self.values.get(self.current, "") if self.current else ""

    def _take(self, label: Label) -> bool:
        first_word = self.words.setdefault(label.field, label.word)
        if label.field == "other" or label.word != first_word:
            self.others += 1  # another word for the same: “Absender” beside “Von”
            label = replace(label, field="other")
        elif label.field not in self.values:
            self.languages.update(label.languages)
            self._put(label)
        elif label.field == "from" and len(self.values) == 1 and not self.has_two_senders:
            self.has_two_senders = True
            self.values["from"] += f", {label.value}"  # nobody will be credited
        else:
            return False
        if label.field == "from":
            self.sender_languages = label.languages
        self.current = label.field
        self.index += 1
        return self.others <= _MAX_OTHER

    def _put(self, label: Label) -> None:
        """Add a value; one of people may go on with the next label where a line end was lost."""
        self.values[label.field] = label.value
        if label.field in _PEOPLE and ">" in label.value:
            for start, end, inner in labels_inside(label.value, label.languages):
                if inner.field in _PEOPLE and inner.field not in self.values:
                    self.values[label.field] = label.value[:start].strip()
                    self._put(replace(inner, value=label.value[end:].strip()))
                    return

    def _take_value(self, line: Line) -> bool:
        """Take the line below an empty label as its value, unless the body begins there."""
        if self.current is None or self.current == "other" or self._value():
            return False
        is_first = len(self.values) == 1 and not looks_labelled(line.linked)
        if not (self.is_split or is_first or (self.current in _PEOPLE and "@" in line.linked)):
            return False
        self.is_split = True
        self.values[self.current] = line.linked.strip()
        self.index += 1
        return True

    def _pass_unknown(self, line: Line) -> bool:
        """Pass over a label that means nothing here: a header field, or one of another language."""
        split = looks_labelled(line.linked)
        if split is None or "@" in split[0]:
            return False
        following = self.lines[self.index + 1 : self.index + 2]
        is_inside = bool(following) and self._is_new(self._label(following[0]))
        if not _HEADER_NAME.fullmatch(split[0]) and not (is_inside and self.values):
            return False
        self.others += 1
        self.current = "other"
        self.index += 1
        return self.others <= _MAX_OTHER

    def _take_folded(self, line: Line) -> bool:
        """Take lines over which a long value goes on."""
        if self.current is None or (looks_labelled(line.linked) and not line.text[:1].isspace()):
            return False
        after = self._end_of_folding(line)
        if after == self.index:
            return False
        folded = " ".join(line.linked.strip() for line in self.lines[self.index : after])
        if self.current != "other":
            self.values[self.current] = f"{self._value()} {folded}".strip()
        self.index = after
        return True

    def _end_of_folding(self, line: Line) -> int:
        """The line after the folded ones; the present one where nothing is folded."""
        before = self.lines[self.index - 1]
        if after := self._next_label(line):
            return after  # what stands between two labels belongs to the first
        is_indented = line.text[:1].isspace() and not before.text[:1].isspace()
        if is_indented or (self.current in _PEOPLE and _is_list(before, line)):
            return self.index + 1
        return self.index + 1 if self._is_wrapped(before, line) else self.index

    def _next_label(self, line: Line) -> int | None:
        """The next line with a new label, if nothing but folded lines stand between."""
        reach = _MAX_BLOCK_LINES if self.current in _PEOPLE else 3
        for after in range(max(self.index, self.label_free), self.index + reach):
            if after >= len(self.lines) or self.lines[after].is_blank:
                break
            if self.lines[after].depth != line.depth:
                break
            if label := self._label(self.lines[after]):
                return after if self._is_new(label) else None
            self.label_free = after + 1
        return None

    def _is_wrapped(self, before: Line, line: Line) -> bool:
        """Whether a long subject goes on: its line was full, and nothing else follows."""
        below = self.lines[self.index + 1 : self.index + 2]
        if self.current != "subject" or (below and not below[0].is_blank):
            return False
        first_word = line.text.split(maxsplit=1)[0]
        return len(before.text) in _WRAPPED and len(before.text) + len(first_word) >= 74


def _is_list(before: Line, line: Line) -> bool:
    """Whether a list of people goes on: nothing but addresses, or a name that awaits the next."""
    if "@" not in line.linked and not before.text.rstrip().endswith((",", ";")):
        return False
    people = address_lists.parse(line.linked, limit=50)
    return bool(people) and all(one.address and len(one.name) < 80 for one in people)


def read_one_line(text: str, lines: Sequence[Line], index: int) -> Block | None:
    """A header of which all fields stand in one line: “From: Ana <ana@x>To: …Subject: …”."""
    first = label_of(text)
    if first is None or first.field != "from":
        return None
    values: dict[Field, str] = {}
    languages: Counter[str] = Counter()
    for label in _labels_in(text, first):
        values[label.field] = label.value
        languages.update(label.languages)
    if len(values) < 3 or not sender_of(values):
        return None
    return Block(
        values=values,
        first=index,
        after=index + 1,
        depth=lines[index].depth,
        languages=tuple(language for language, _ in languages.most_common()),
        structure=lines[index].structure,
    )


def _labels_in(text: str, first: Label) -> Iterator[Label]:
    """Each label with what stands between it and the next of another field.

    The subject comes last, where all others have been named: what it holds is its own.
    """
    found: list[tuple[int, int, Label]] = []
    labels = labels_inside(text, first.languages | {"en"})
    for start, end, label in islice(labels, _MAX_LABELS_IN_LINE):
        fields = {known.field for _, _, known in found}
        if fields >= {"from", "to", "date", "subject"} and found[-1][2].field == "subject":
            break
        if label.field not in fields:
            found.append((start, end, label))
    ends = [*(start for start, _, _ in found[1:]), len(text)][: len(found)]
    for (_, start, label), end in zip(found, ends, strict=True):
        yield replace(label, value=text[start:end].strip())


# --- labels of no known language ------------------------------------------------------------------


def guess(lines: Sequence[Line], start: int) -> Block | None:
    """A header told by what its lines hold: addresses are people, a date is a date."""
    rows: list[tuple[Label | None, str]] = []
    index = start
    while index < len(lines) and len(rows) < _MAX_GUESSED:
        split = looks_labelled(lines[index].linked)
        if split is None or lines[index].structure != lines[start].structure:
            break
        rows.append((label_of(lines[index].linked), split[1]))
        index += 1
    values: dict[Field, str] = {label.field: label.value for label, _ in rows if label}
    for label, value in rows:
        if label is None and (field := _field_of(value, values)):
            values[field] = value
    values.pop("other", None)
    languages = Counter(language for label, _ in rows if label for language in label.languages)
    if len(values) < 3 or not sender_of(values):
        return None
    return Block(
        values=values,
        first=start,
        after=index,
        depth=lines[start].depth,
        languages=tuple(language for language, _ in languages.most_common()),
        structure=lines[start].structure,
        is_guessed=any(label is None for label, _ in rows),
    )


def _field_of(value: str, known: dict[Field, str]) -> Field | None:
    if "@" in value:
        return next((field for field in _PEOPLE if field not in known), None)
    if "date" not in known and forwarded_dates.parse(value).date:
        return "date"
    return "subject" if "subject" not in known else None
