"""Subjects without the prefixes of replies and forwards, in all languages of the table."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from email_sync.forwarded_labels import LANGUAGES, comparable

Kind = Literal["forward", "reply", ""]

_MAX_SUBJECT = 2_000
_MAX_PREFIXES = 30


def _prefixes_of(lists: Iterable[Iterable[str]]) -> frozenset[str]:
    return frozenset(comparable(prefix).rstrip(".") for prefixes in lists for prefix in prefixes)


_FORWARDS = {name: _prefixes_of([one.forward_prefixes]) for name, one in LANGUAGES.items()}
_REPLIES = {name: _prefixes_of([one.reply_prefixes]) for name, one in LANGUAGES.items()}
_FORWARD = frozenset[str]().union(*_FORWARDS.values())
_REPLY = frozenset[str]().union(*_REPLIES.values())
#: “Re:”, “AW[2]:”, “Fw (3) :”, “转发：”.
_PREFIX = re.compile(
    r"\s*([^\W\d_][^:：\[\](){}<>]{0,22}?)\s?(?:[\[(]\d{1,3}[\])]|\^\d{1,3})?\s?[:：]"
)
#: “[EXTERNAL]”, “[Ext.]”, “***SPAM***” before a prefix.
_TAG = re.compile(r"\s*(?:\[[^\[\]]{1,30}\]|\*{2,3}[^*]{1,20}\*{2,3})(?=\s*\S)")
_BRACKETED = re.compile(r"\s*\[(Fwd|Fw):\s*(.*)\]\s*", re.IGNORECASE | re.DOTALL)


def kind_of(subject: str, *, languages: Sequence[str] = ()) -> Kind:
    """What the outermost prefix says the message is; "" for none.

    VS is a forward in Danish and a reply in Finnish: of such a prefix the `languages` of the header
    below tell the meaning, and without them it says nothing.
    """
    words, _ = next(_prefixes(subject[:_MAX_SUBJECT]), ("", ""))
    is_forward, is_reply = words in _FORWARD, words in _REPLY
    if is_forward and is_reply:
        is_forward = any(words in _FORWARDS[language] for language in languages)
        is_reply = any(words in _REPLIES[language] for language in languages)
    if is_forward == is_reply:
        return ""
    return "forward" if is_forward else "reply"


def without_forward_prefix(subject: str) -> str:
    """The subject of the original, as far as the subject of the forward tells it."""
    subject = subject[:_MAX_SUBJECT]
    first = next(_prefixes(subject), None)
    if first is None or first[0] not in _FORWARD:
        return subject.strip()
    return first[1].strip()


def bare_subject(subject: str) -> str:
    """The subject as it is compared: without prefixes and tags, case-folded, blanks collapsed.

    “Fwd: [EXT] RE: Spring  issue” and “spring issue” are one. What stands inside is left alone.
    """
    rest = subject[:_MAX_SUBJECT]
    for _, after in _prefixes(rest):
        rest = after
    return comparable(rest)


def _prefixes(subject: str) -> Iterator[tuple[str, str]]:
    """Each prefix from the outside in, with what follows it."""
    rest = subject
    for _ in range(_MAX_PREFIXES):
        if match := _BRACKETED.fullmatch(rest):
            yield "fwd", match.group(2)
            rest = match.group(2)
            continue
        tag = _TAG.match(rest)
        match = _PREFIX.match(rest, tag.end() if tag else 0)
        if match is None:
            return
        words = comparable(match.group(1)).rstrip(".")
        if words not in _FORWARD and words not in _REPLY:
            return
        rest = rest[match.end() :]
        yield words, rest
