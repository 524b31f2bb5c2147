"""Making a stranger's HTML safe to keep and to show, and readable as text."""

import re
from html import unescape
from html.parser import HTMLParser

import nh3

#: Characters of a body that are kept; what is longer is cut, with a word about it.
MAX_BODY = 1_000_000
CUT_NOTE = "\n\n[The rest of this message is too long to be kept.]"

_TAGS = nh3.ALLOWED_TAGS | {"font", "center", "section", "article"}
_ATTRIBUTES = {
    "*": {"style", "dir", "lang", "title", "align", "valign", "bgcolor", "width", "height"},
    "a": {"href"},
    "font": {"color", "size", "face"},
    "img": {"src", "alt"},
    "table": {"border", "cellpadding", "cellspacing"},
    "td": {"colspan", "rowspan", "nowrap"},
    "th": {"colspan", "rowspan", "scope"},
    "ol": {"start", "type"},
}
_UNSAFE_STYLE = re.compile(r"url\s*\(|expression|[@\\]", re.IGNORECASE)
_BREAKING = frozenset(
    "address article blockquote br center dd div dl dt fieldset form h1 h2 h3 h4 h5 h6 hr li "
    "ol p pre section table td th tr ul".split()
)


def sanitise(html: str) -> str:
    """The HTML without anything that runs, loads or reaches out of its place.

    Scripts, forms, frames and handlers go; remote images too (only data: images stay), because
    opening them tells the sender; style values with url(, expression, @ or a backslash go whole.
    """
    clean = nh3.clean(
        html[:MAX_BODY],
        tags=_TAGS,
        clean_content_tags={"script", "style", "title", "template"},
        attributes=_ATTRIBUTES,
        attribute_filter=_filter_attribute,
        url_schemes={"http", "https", "mailto", "tel", "data"},
        link_rel="noopener noreferrer nofollow",
        strip_comments=True,
    )
    # Escaping makes text longer; cut again, and let the parser close what the cut left open.
    return clean if len(clean) <= MAX_BODY else nh3.clean(clean[:MAX_BODY], tags=_TAGS)


def _filter_attribute(tag: str, name: str, value: str) -> str | None:
    if name == "style":
        return None if _UNSAFE_STYLE.search(unescape(value)) else value
    if name == "src":
        return value if re.match(r"data:image/(png|gif|jpe?g|webp);", value, re.I) else None
    if name == "href":
        return None if value.strip().lower().startswith("data:") else value
    return value


def to_text(html: str) -> str:
    """The text of sanitised HTML, a line for each block, for search, export and previews."""
    reader = _TextReader()
    reader.feed(html)
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.parts).splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def shortened(text: str) -> str:
    """Plain text within the limit; NUL, which PostgreSQL refuses, is dropped."""
    text = text.replace("\0", "")
    return text if len(text) <= MAX_BODY else text[:MAX_BODY] + CUT_NOTE


class _TextReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag in _BREAKING:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _BREAKING:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        # Line ends in HTML source are blanks; only blocks break lines.
        self.parts.append(data.replace("\n", " ").replace("\r", " "))
