"""Lists of addresses as people and their mail programs write them: headers and label lines.

RFC 5322's grammar where it is kept, and as much as can be read where it is not. Linear in the
length of the text; nothing here raises.
"""

import re
from collections.abc import Callable, Iterator

from msgspec import Struct, field

from crm_sync.providers.types import Address

#: Further recipients of a message are left out.
MAX_ADDRESSES = 1_000
_MAX_TEXT = 300_000
#: What is longer is no address and no name; it is cut.
_MAX_ENTRY = 1_000
#: Commas that one unquoted name may hold.
_MAX_NAME_COMMAS = 3

_SPECIAL = re.compile(r'[",;:<>()\[\]\\]')
_CLOSERS = {'"': '"', "(": ")", "<": ">", "[": "]"}
_ADDRESS = re.compile(r"(?:\"[^\"]{1,64}\"|[^\s\"<>()\[\],;:@]+)@[^\s\"'<>()\[\],;:@]+")
_PLAUSIBLE = re.compile(r"[!-<>?A-~]{1,64}@(?:[^\W_](?:[\w-]{0,62})\.)+[^\W\d_][\w-]{1,62}")
_MAILTO = re.compile(r"\s*mailto:\s*", re.IGNORECASE)
_COMMENT = re.compile(r"\([^()]*\)")
_SPACES = re.compile(r"\s+")
_NAME_QUOTES = (("'", "'"), ('"', '"'), ("“", "”"), ("„", "”"), ("„", "“"), ("«", "»"), ("‘", "’"))


def as_written(text: str) -> str:
    return text


def parse(
    text: str, *, limit: int = MAX_ADDRESSES, decode: Callable[[str], str] = as_written
) -> tuple[Address, ...]:
    """The addresses of a list, in order; of people who are only named, the name alone.

    `decode` is applied to each name after the list was taken apart: encoded words may hide commas.
    Comma and semicolon separate; a comma inside a name does not: Doe, Ana <ana@x>, quoted or not.
    """
    found: list[Address] = []
    before = ""  # "Doe" of that example, until it is known to whom it belongs
    for entry in _entries(text[:_MAX_TEXT]):
        for address, name in _read(entry):
            if before and name and (entry.brackets or not address):
                name, before = _joined(before, name), ""
            if not address and entry.closed_by == "," and name.count(",") < _MAX_NAME_COMMAS:
                before = name
                continue
            for one in (Address("", clean_name(decode(before))), _person(address, decode(name))):
                found += [one] if one.address or one.name else []
            before = ""
        if len(found) >= limit:
            break
    found += [Address("", clean_name(decode(before)))] if before else []
    return tuple(found[:limit])


def _joined(before: str, name: str) -> str:
    """A name that was taken apart at its comma; an encoded word has no blank behind one."""
    is_encoded = before.count("=?") > before.count("?=")
    return f"{before},{name}" if is_encoded else f"{before}, {name}"


def _person(address: str, name: str) -> Address:
    name = clean_name(name)
    return Address(address=address, name="" if name.casefold() == address.casefold() else name)


def clean_name(name: str) -> str:
    """A display name without the quotes around it; "" where it only says mailto."""
    name = _SPACES.sub(" ", name).strip(" ,;")
    for opening, closing in (*_NAME_QUOTES, *_NAME_QUOTES):  # some write "'Ana'"
        if len(name) > 1 and name.startswith(opening) and name.endswith(closing):
            name = name[1:-1].strip()
    return name


class _Entry(Struct):
    """What stands between two separators: words, and what is in brackets or parentheses."""

    words: list[str] = field(default_factory=list)
    brackets: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    words_before: int = 0  # that many words stand before the bracket
    closed_by: str = ""

    @property
    def text(self) -> str:
        return "".join(self.words[:20])  # as much as is needed to tell what it is

    def add_enclosed(self, mark: str, inside: str, *, is_local_part: bool) -> None:
        if mark == '"':
            self.words.append(f'"{inside}"' if is_local_part else inside.replace("\\", ""))
        elif mark == "<" or (mark == "[" and "@" in inside):
            self.brackets.append(inside)
            self.words_before = len(self.words)
        elif mark == "[":
            self.words.append(f"[{inside}]")
        elif "@" not in inside and self.text.strip() and "@" not in self.text and not self.brackets:
            self.words.append(f"({inside})")  # "Ana Holm (Brightwave) <ana@x>"
        else:
            self.comments.append(inside)

    def behind_bracket(self) -> "_Entry":
        """A new entry with the words behind the bracket, which leave this one."""
        words = self.words[self.words_before :]
        del self.words[self.words_before :]
        return _Entry(words=words)


def _entries(text: str) -> Iterator[_Entry]:
    """The entries of a list, each mark in turn; a mark that nothing closes is looked for once."""
    entry = _Entry()
    position, unclosed = 0, set[str]()
    while special := _SPECIAL.search(text, position):
        mark = special.group()
        entry.words.append(text[position : special.start()])
        position = special.end()
        if mark in ",;":
            entry.closed_by = mark
            yield entry
            entry = _Entry()
        elif mark in _CLOSERS and mark not in unclosed:
            inside, resume = _enclosed(text, position, _CLOSERS[mark])
            if resume is None:
                unclosed.add(mark)
                entry.words.append("" if mark in '<"' else mark)
                continue
            if mark == "<" and entry.brackets and _bare(inside) != _bare(entry.brackets[-1]):
                following = entry.behind_bracket()  # the comma between two addresses is missing
                yield entry
                entry = following
            position = resume
            entry.add_enclosed(mark, inside, is_local_part=text.startswith("@", resume))
        elif mark == ":" and not entry.brackets and "@" not in entry.text:
            entry = _Entry()  # the name of a group, or mailto
        elif mark == "\\":
            entry.words.append(text[position : position + 1])
            position += 1
    entry.words.append(text[position:])
    yield entry


def _enclosed(text: str, start: int, closer: str) -> tuple[str, int | None]:
    """The text up to the closing mark and where it goes on after it; None where none closes it."""
    end = text.find(closer, start)
    while end > start and text[end - 1] == "\\" and closer == '"':
        end = text.find(closer, end + 1)
    return (text[start:end], end + 1) if end >= 0 else ("", None)


def _read(entry: _Entry) -> list[tuple[str, str]]:
    """The address and the name of one entry; of several addresses between which no comma stands."""
    words = _SPACES.sub(" ", "".join(entry.words)).strip()[:_MAX_ENTRY]
    comments = " ".join(entry.comments)[:_MAX_ENTRY]
    for bracket in reversed(entry.brackets):
        if "@" in (address := _bare(bracket)):
            return [(address, _name_beside(words, address) or comments)]
    addresses = [found.lstrip("'") for found in _ADDRESS.findall(words)]
    if len(addresses) == 1:
        return [(addresses[0], _name_beside(words, addresses[0]) or comments)]
    if addresses:
        return [(address, "") for address in addresses]
    if match := _ADDRESS.search(_MAILTO.sub("", comments)):
        return [(match.group(), words)]
    return [("", f"{words} ({comments})" if comments else words)]


def _name_beside(words: str, address: str) -> str:
    """What the words say apart from the address itself: `a@b <mailto:a@b>` names nobody."""
    bare = _MAILTO.sub("", words).strip().strip("'\"")
    return "" if bare.casefold() == address.casefold() else words.replace(address, "").strip()


def _bare(bracket: str) -> str:
    """The address in angle brackets without mailto:, its query, a route or blanks."""
    text = _COMMENT.sub("", _MAILTO.sub("", bracket[:_MAX_ENTRY], count=1)).partition("?")[0]
    text = _SPACES.sub("", text)  # a folded one
    if text.startswith("@"):
        text = text.partition(":")[2]
    match = _ADDRESS.search(text)
    return match.group() if match else text


def is_plausible(address: str) -> bool:
    """Whether mail could be sent there: a domain with a dot, and nothing that damage leaves."""
    return _PLAUSIBLE.fullmatch(address) is not None
