"""The HTML of a forward as lines, with where each stands in the source and in what structure.

A walker of our own: the standard library's `html.parser` needs 25 s for 40 kB of “<a ”. Here each
character is looked at a bounded number of times. Nothing is made safe to show; nothing raises.
"""

import re
import string
from html import unescape
from urllib.parse import unquote

from msgspec import Struct

from email_sync.forwarded_lines import Line, Structure

#: What is walked; the lines of what is behind are left out. (Pictures inside tags cost nothing.)
_MAX_HTML = 4_000_000
_MAX_TAGS = 15_000
_MAX_LINES = 20_000
_MAX_TEXT = 500_000
_MAX_OPEN = 300
_MAX_LINE = 20_000
_RULE = "_" * 32

_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9:]{0,30})")
_ATTRIBUTE = re.compile(
    r"([a-zA-Z-]{1,30})\s{0,20}=\s{0,20}(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))"
)
_WANTED = frozenset({"class", "id", "href", "style", "type"})
_QUOTE = re.compile("[\"']")
#: `str.lower` makes some letters longer, and places would shift.
_LOWER = {ord(c): c.lower() for c in string.ascii_uppercase}
_BLANKS = re.compile(r"[ \t\r\n\f]+")
_BLOCKS = frozenset(
    "address article aside blockquote body center dd div dl dt fieldset figure footer form h1 h2 h3"
    " h4 h5 h6 header hr html li main nav ol p pre section table tbody tfoot thead tr ul".split()
)
_PARAGRAPHS = frozenset("p h1 h2 h3 h4 h5 h6 ul ol pre blockquote".split())
_CELLS = frozenset({"td", "th"})
_SILENT = frozenset({"script", "style", "title", "template", "textarea"})
_VOID = frozenset("area base br col embed hr img input link meta param source track wbr".split())


class _Tag(Struct, frozen=True):
    name: str
    is_end: bool
    attributes: dict[str, str]
    end: int


class _Open(Struct):
    """An element that is open, and what it means for the lines in it."""

    name: str
    structure: Structure
    depth: int
    is_preformatted: bool
    mailto: str = ""
    text_before: int = 0


def lines_of(html: str) -> list[Line]:
    """The visible text, a line for each block or break; the cells of a row are joined by tabs."""
    walker = _Walker(html[:_MAX_HTML])
    walker.walk()
    return walker.lines


class _Walker:
    def __init__(self, html: str) -> None:
        self.html = html
        self.lines: list[Line] = []
        self._lower = html.translate(_LOWER)
        self._open = [_Open(name="", structure="", depth=0, is_preformatted=False)]
        self._text: list[str] = []
        self._linked: list[str] = []
        self._size = 0
        self._room = _MAX_TEXT
        self._line_start = 0
        self._has_gap = False
        #: What was looked for to the very end and is not there; it is not looked for again.
        self._missing: set[str] = set()

    def walk(self) -> None:
        position = 0
        for _ in range(_MAX_TAGS):
            start = self.html.find("<", position)
            self._add(self.html[position : start if start >= 0 else len(self.html)])
            if start < 0 or len(self.lines) > _MAX_LINES:
                break
            position = self._markup(start)
        self._break(len(self.html), len(self.html))

    def _find(self, wanted: str, start: int) -> int:
        if wanted in self._missing:
            return -1
        found = self._lower.find(wanted, start)
        if found < 0:
            self._missing.add(wanted)
        return found

    def _markup(self, start: int) -> int:
        """Read what begins with “<”; the position at which the text goes on."""
        if self.html.startswith("<!--", start):
            end = self._find("-->", start + 4)
            return end + 3 if end >= 0 else start + 4
        tag = self._tag(start)
        if tag is None:
            if self.html.startswith(("<!", "<?"), start):
                return self._find(">", start) + 1 or start + 2
            self._add("<")
            return start + 1
        if tag.is_end:
            self._close(tag, start)
        elif tag.name in _SILENT:
            end = self._find(f"</{tag.name}", tag.end)
            return end if end >= 0 else tag.end
        else:
            self._begin(tag, start)
        return tag.end

    def _tag(self, start: int) -> _Tag | None:
        match = _TAG.match(self.html, start)
        end = self._tag_end(match.end()) if match else None
        if match is None or end is None:
            return None
        name = match.group(2).lower()
        attributes: dict[str, str] = {}
        if not match.group(1) and name not in _VOID and end - match.end() > 2:
            for key, *values in _ATTRIBUTE.findall(self.html, match.end(), end):
                if key.lower() in _WANTED:
                    attributes.setdefault(key.lower(), _unescape("".join(values)))
        return _Tag(name=name, is_end=bool(match.group(1)), attributes=attributes, end=end)

    def _tag_end(self, position: int) -> int | None:
        """Where a tag ends, “>” inside quoted values passed over; None where nothing ends it."""
        first = end = self._find(">", position)
        while end >= 0 and (quote := _QUOTE.search(self.html, position, end)):
            closing = self._find(quote.group(), quote.end())
            if closing < 0:
                end = first  # a quotation mark that nothing closes is none
                break
            position = closing + 1
            if closing > end:
                end = self._find(">", closing)
        return end + 1 if end >= 0 else None

    # --- elements ---

    def _begin(self, tag: _Tag, start: int) -> None:
        if tag.name == "br":
            self._break(start, tag.end, is_forced=True)
        elif tag.name == "hr":
            self._break(start, tag.end)
            self._add(_RULE)
            self._break(start, tag.end)
        elif tag.name in _CELLS:
            self._add("\t")
        elif tag.name in _BLOCKS:
            self._break(start, tag.end, is_paragraph=tag.name in _PARAGRAPHS)
        if tag.name in _VOID or len(self._open) > _MAX_OPEN:
            return
        around = self._open[-1]
        href = tag.attributes.get("href", "") if tag.name == "a" else ""
        self._open.append(
            _Open(
                name=tag.name,
                structure=_structure(tag) or around.structure,
                depth=around.depth + (tag.name == "blockquote"),
                is_preformatted=around.is_preformatted or tag.name == "pre",
                mailto=_address(href) if href[:7].lower() == "mailto:" else "",
                text_before=len(self._text),
            )
        )

    def _close(self, tag: _Tag, start: int) -> None:
        if tag.name in _BLOCKS:
            self._break(start, tag.end, is_paragraph=tag.name in _PARAGRAPHS)
        # Elements are often left unclosed; the end of an outer one closes them too.
        for index in range(len(self._open) - 1, max(0, len(self._open) - 40), -1):
            if self._open[index].name == tag.name:
                closed = self._open[index]
                del self._open[index:]
                if closed.mailto and closed.mailto not in "".join(self._text[closed.text_before :]):
                    self._linked.append(f" <mailto:{closed.mailto}>")
                return

    # --- text ---

    def _add(self, source: str) -> None:
        if not source or self._room <= 0:
            return
        text = _unescape(source[: self._room])
        self._room -= len(source)
        if self._open[-1].is_preformatted:
            *complete, text = text.replace("\r", "").split("\n", _MAX_LINES)
            for part in complete:
                self._put(part)
                self._break(self._line_start, self._line_start, is_forced=True)
            self._put(text)
        elif text == "\t" and source == "\t":
            self._put(text if self._text else "")
        else:
            self._put(_BLANKS.sub(" ", text))

    def _put(self, text: str) -> None:
        if text and self._size < _MAX_LINE:
            self._size += len(text)
            self._text.append(text)
            self._linked.append(text)

    def _break(
        self, end: int, next_start: int, *, is_forced: bool = False, is_paragraph: bool = False
    ) -> None:
        """End the line; one without text is kept only where the break was meant."""
        text = "".join(self._text).replace("\xa0", " ").strip(" \r\f\n")
        if text or is_forced or self._is_empty_paragraph(is_paragraph):
            inside = self._open[-1]
            linked = "".join(self._linked).replace("\xa0", " ").strip(" \r\f\n")
            self.lines.append(
                Line(
                    text=text.strip("\t") if not text.strip() else text,
                    depth=inside.depth,
                    start=self._line_start,
                    end=end,
                    linked=linked,
                    structure=inside.structure,
                    has_gap=self._has_gap,
                )
            )
            self._has_gap = False
        self._has_gap = self._has_gap or is_paragraph
        self._text, self._linked, self._size = [], [], 0
        self._line_start = next_start

    def _is_empty_paragraph(self, is_paragraph: bool) -> bool:
        """“<p>&nbsp;</p>” is a blank line that the writer sees."""
        return is_paragraph and any("\xa0" in piece for piece in self._text)


def _structure(tag: _Tag) -> Structure:
    """The program whose markup names this element as the header of an original, or holds one."""
    classes = tag.attributes.get("class", "")
    marks = f"{classes} {tag.attributes.get('id', '')}"
    if "gmail_attr" in classes:
        return "gmail"
    if "moz-email-headers-table" in classes:
        return "thunderbird"
    style = tag.attributes.get("style", "").replace(" ", "").lower()
    if "divRplyFwdMsg" in marks or (tag.name == "div" and "border-top:solid" in style):
        return "outlook"
    if "yahoo_quoted" in marks:
        return "yahoo"
    if "protonmail_quote" in marks:
        return "proton"
    if "zmail_extra" in marks:
        return "zoho"
    if tag.name == "blockquote" and tag.attributes.get("type", "").lower() == "cite":
        return "apple"
    return ""


def _address(href: str) -> str:
    address = unquote(href[7:300].partition("?")[0]).strip()
    return address if "@" in address else ""


def _unescape(text: str) -> str:
    try:
        return unescape(text) if "&" in text else text
    except ValueError:  # a character reference of thousands of digits
        return text
