"""Lines of a message, from plain text or HTML, in the one form in which forwards are looked for."""

import re
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

#: Markup by which a program names the header of the original. Those of `HEADERS` hold nothing else.
Structure = Literal["", "gmail", "thunderbird", "outlook", "apple", "yahoo", "proton", "zoho"]
HEADERS: tuple[Structure, ...] = ("gmail", "thunderbird", "outlook")

#: Lines and characters in which the original's header is looked for.
_MAX_LINES = 20_000
_MAX_TEXT = 600_000
_MAX_LINE = 300_000

#: Blank lines between a separator and the header, or between two lines of a header.
_MAX_GAP = 4

_DRAWN = re.compile(r"[-=_*─—]{4,}")
_QUOTE = re.compile(r"(?:[ \t]{0,3}>)+")


class Line(Struct, frozen=True, gc=False):
    """One line. `start` and `end` are its place in the source, without its line break.

    `depth` counts how often it is quoted. In `linked` links to addresses are written out, "Ana
    <mailto:ana@x>", in `text` not. `has_gap` says that a new paragraph begins.
    """

    text: str
    depth: int
    start: int
    end: int
    linked: str = ""
    structure: Structure = ""
    has_gap: bool = False

    @property
    def is_blank(self) -> bool:
        return not self.text.strip()


def of_text(text: str) -> list[Line]:
    """The lines of a plain text, quotation marks taken off and counted."""
    lines: list[Line] = []
    start = 0
    while start < min(len(text), _MAX_TEXT) and len(lines) < _MAX_LINES:
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        written = text[start : min(end, start + _MAX_LINE)]
        quote = _QUOTE.match(written) if ">" in written[:4] else None
        if quote:
            bare = written[quote.end() :].removeprefix(" ")
            lines.append(Line(bare, quote.group().count(">"), start, end, bare))
        else:
            lines.append(Line(written, 0, start, end, written))
        start = end + 1
    return lines


def is_rule(line: Line) -> bool:
    """Whether a line is drawn there: by a program to set a header off, or by anybody."""
    return _DRAWN.fullmatch(line.text.strip()) is not None


def next_written(lines: Sequence[Line], start: int) -> int | None:
    """The next line that is not blank, if it is near."""
    for index in range(start, min(start + _MAX_GAP + 1, len(lines))):
        if not lines[index].is_blank:
            return index
    return None


def depth_of(body: Sequence[Line], depth: int) -> int:
    """How often the whole body is quoted: as its header is, or once more than an unquoted one."""
    if depth:
        return depth
    return 1 if all(line.depth or line.is_blank for line in body) else 0


def unquoted(text: str, *, depth: int) -> str:
    """A plain text with up to so many quotation marks before each line taken off."""
    return re.sub(rf"^(?:[ \t]{{0,3}}>){{1,{depth}}} ?", "", text, flags=re.M) if depth else text


def joined(lines: list[Line]) -> str:
    """Lines of HTML as text, with a blank line between paragraphs."""
    written: list[str] = []
    for line in lines:
        if line.has_gap and written and written[-1].strip() and line.text.strip():
            written.append("")
        written.append(line.text.rstrip())
    return "\n".join(written).strip("\n")
