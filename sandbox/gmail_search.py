"""What Gmail's search box understands: the operators a client of an intake mailbox may use.

Words within one message are compared without case; an unknown operator is just a word. Dates
without a time are midnight in California, as Google documents; numbers are epoch seconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message as ParsedMessage
from html import unescape
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

if TYPE_CHECKING:
    from sandbox.gmail_mailbox import GmailMailbox, Message

_PACIFIC = ZoneInfo("America/Los_Angeles")
_TAGS = re.compile(r"<[^<>]*>")
_WORDS = re.compile(r"\w+")
_TOKENS = re.compile(r'([-+]?)([A-Za-z0-9_]+:)?(?:"([^"]*)"|([^\s(){}"]+))|([(){}])')
_PLACES = {"inbox": "INBOX", "spam": "SPAM", "trash": "TRASH", "sent": "SENT", "drafts": "DRAFT",
           "draft": "DRAFT", "chats": "CHAT", "chat": "CHAT"}  # fmt: skip
_UNITS = {"h": 3_600, "d": 86_400, "m": 30 * 86_400, "y": 365 * 86_400}


class Summary(msgspec.Struct):
    """Of one message, what a search looks at; in lower case."""

    sender: str
    recipients: str
    delivered_to: str
    subject: str
    message_id: str
    filenames: tuple[str, ...]
    words: frozenset[str]


class Search(NamedTuple):
    matches: Callable[[Message], bool]
    includes_hidden: bool  # spam and trash are searched too


def decoded(value: object) -> str:
    """A header as a person reads it; what cannot be decoded stays as it is."""
    text = " ".join(str(value).split())
    try:
        return str(make_header(decode_header(text)))
    except (LookupError, ValueError, UnicodeError):
        return text


def text_of(part: ParsedMessage) -> str:
    content = part.get_payload(decode=True)
    if not isinstance(content, bytes):
        return ""
    try:
        return content.decode(part.get_content_charset("utf-8"), "replace")
    except LookupError:
        return content.decode("utf-8", "replace")


def plain_text(parsed: ParsedMessage) -> str:
    """The readable text: of the plain part, else of the HTML."""
    texts = {"text/plain": "", "text/html": ""}
    for part in parsed.walk():
        kind = part.get_content_type()
        if kind in texts and not texts[kind] and part.get_content_disposition() != "attachment":
            texts[kind] = text_of(part)
    return texts["text/plain"] or unescape(_TAGS.sub(" ", texts["text/html"]))


def snippet_of(parsed: ParsedMessage) -> str:
    return " ".join(plain_text(parsed).split())[:200]


def summary_of(raw: bytes) -> Summary:
    parsed = message_from_bytes(raw)

    def addresses(*names: str) -> str:
        values = (decoded(value) for name in names for value in parsed.get_all(name, []))
        return " ".join(values).casefold()

    text = plain_text(parsed)
    subject = decoded(parsed.get("Subject", ""))
    sender, recipients = addresses("From"), addresses("To", "Cc", "Bcc")
    names = (part.get_filename() for part in parsed.walk())
    searched = f"{subject} {sender} {recipients} {text}".casefold()
    return Summary(
        sender=sender,
        recipients=recipients,
        delivered_to=addresses("Delivered-To"),
        subject=subject.casefold(),
        message_id=str(parsed.get("Message-ID", "")).strip().strip("<>"),
        filenames=tuple(decoded(name).casefold() for name in names if name),
        words=frozenset(_WORDS.findall(searched)),
    )


# --- reading a query ------------------------------------------------------------------------------

Test = Callable[["Message"], bool]


class _Reader:
    """Recursive descent: groups of tests, `OR` between neighbours, `-` before anything."""

    def __init__(self, mailbox: GmailMailbox, query: str, now: int) -> None:
        self._mailbox = mailbox
        self._now = now
        self._tokens = list(_TOKENS.finditer(query))
        self._at = 0
        self.includes_hidden = False

    def group(self, end: str = "") -> Test:
        tests: list[Test] = []
        joins_next = False
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            self._at += 1
            bracket = token[5]
            if bracket in (")", "}"):
                if bracket == end:
                    break
                continue
            if token[0] == "OR" and tests:
                joins_next = True
                continue
            test = self.group(")" if bracket == "(" else "}") if bracket else self._test(token)
            if joins_next:
                test = _either(tests.pop(), test)
            tests.append(test)
            joins_next = False
        if end == "}":
            return lambda message: any(test(message) for test in tests)
        return lambda message: all(test(message) for test in tests)

    def _test(self, token: re.Match[str]) -> Test:
        sign, operator, quoted, plain = token[1], (token[2] or "").casefold(), token[3], token[4]
        value = (quoted if quoted is not None else plain).casefold()
        hidden_before = self.includes_hidden
        test = self._operator(operator.rstrip(":"), value)
        if test is None:
            words = _WORDS.findall(f"{operator}{value}")
            test = self._about(lambda summary: all(word in summary.words for word in words))
        if sign == "-":
            self.includes_hidden = hidden_before  # leaving spam out does not let it in
            positive = test
            return lambda message: not positive(message)
        return test

    def _about(self, look: Callable[[Summary], bool]) -> Test:
        return lambda message: look(self._mailbox.summary(message))

    def _operator(self, name: str, value: str) -> Test | None:
        match name:
            case "in" | "label" | "is":
                return self._place(name, value)
            case "after" | "newer" | "before" | "older":
                moment = _moment(value)
                if moment is None:
                    return None
                if name in ("after", "newer"):
                    # Whether Google counts the second itself is not written anywhere: a client
                    # has to stand the stricter reading.
                    return lambda message: message.at // 1000 > moment
                return lambda message: message.at // 1000 < moment
            case "newer_than" | "older_than":
                return self._age(name, value)
            case "from":
                return self._about(lambda summary: value in summary.sender)
            case "to" | "cc":
                return self._about(lambda summary: value in summary.recipients)
            case "deliveredto":
                return self._about(lambda summary: value in summary.delivered_to)
            case "subject":
                wanted = _WORDS.findall(value)
                return self._about(
                    lambda s: all(word in _WORDS.findall(s.subject) for word in wanted)
                )
            case "rfc822msgid":
                # Message-IDs are compared as written; the query arrives in lower case.
                wanted_id = value.strip("<>")
                return self._about(lambda summary: summary.message_id.casefold() == wanted_id)
            case "filename":
                return self._about(lambda s: any(value in filename for filename in s.filenames))
            case "has" if value == "attachment":
                return self._about(lambda summary: bool(summary.filenames))
        return None

    def _place(self, operator: str, value: str) -> Test | None:
        if operator == "in" and value == "anywhere":
            self.includes_hidden = True
            return lambda message: True
        if operator == "is" and value in ("unread", "starred", "important"):
            return lambda message: value.upper() in message.labels
        if operator == "is" and value == "read":
            return lambda message: "UNREAD" not in message.labels
        if operator == "is":
            return None
        label = _PLACES.get(value) or self._label(value)
        if label in ("SPAM", "TRASH"):
            self.includes_hidden = True
        return lambda message: label in message.labels

    def _label(self, value: str) -> str:
        """A label's ID by its name; blanks and slashes are written as hyphens."""
        for label in self._mailbox.labels.values():
            name = label.name.casefold()
            if value in (name, re.sub(r"[ /]", "-", name)):
                return label.id
        return ""

    def _age(self, name: str, value: str) -> Test | None:
        found = re.fullmatch(r"(\d{1,6})([hdmy])", value)
        if found is None:
            return None
        moment = self._now - int(found[1]) * _UNITS[found[2]]
        if name == "newer_than":
            return lambda message: message.at // 1000 > moment
        return lambda message: message.at // 1000 < moment


def _either(first: Test, second: Test) -> Test:
    return lambda message: first(message) or second(message)


def _moment(value: str) -> int | None:
    if re.fullmatch(r"\d{5,12}", value):
        return int(value)
    found = re.fullmatch(r"(\d{4})[/-](\d{1,2})[/-](\d{1,2})", value)
    try:
        if found is None:
            return None
        year, month, day = (int(part) for part in found.groups())
        return int(datetime(year, month, day, tzinfo=_PACIFIC).timestamp())
    except ValueError:
        return None


def read(mailbox: GmailMailbox, query: str, now: int) -> Search:
    reader = _Reader(mailbox, query, now)
    test = reader.group()
    return Search(test, reader.includes_hidden)
