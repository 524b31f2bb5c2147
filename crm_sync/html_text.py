"""The text of somebody's HTML, a line for each block. Nothing of it is shown as HTML."""

import re
from html.parser import HTMLParser

_BREAKING = frozenset(
    "address article blockquote br center dd div dl dt fieldset form h1 h2 h3 h4 h5 h6 hr li "
    "ol p pre section table td th tr ul".split()
)
#: What stands inside these is no text.
_HIDDEN = frozenset("head script style template title".split())


def to_text(html: str) -> str:
    """The words of the HTML; blanks within a line count once, empty lines at most once."""
    reader = _TextReader()
    reader.feed(html)
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.parts).splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


class _TextReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag in _HIDDEN and not self._hidden:
            self._hidden = tag
        elif tag in _BREAKING:
            self.parts.append("\n")

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        # “<br/>” breaks once, and nothing that closes itself hides what follows.
        if tag in _BREAKING:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._hidden:
            self._hidden = ""
        elif tag in _BREAKING:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        # Line ends in HTML source are blanks; only blocks break lines.
        if not self._hidden:
            self.parts.append(data.replace("\n", " ").replace("\r", " "))
