"""Header fields of a stranger's message, as far as they can be read. Nothing here raises.

Written by hand because the standard library's parser of `policy.default` needs 1.4 s for 5,000
recipients and raises on malformed ones; its tolerance of damage is kept.
"""

import binascii
import re
import string
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Any

from email_sync.charsets import decode, storable

#: Fields of one block that are kept, and characters of one value.
MAX_FIELDS = 2_000
MAX_VALUE = 400_000
_MAX_BLOCK = 600_000
_MAX_PARAMETERS = 4_000

_NAME = re.compile(rb"([!-9;-~]{1,200})[ \t]*:")
_MAX_JUNK = 12
_USUAL = frozenset(b"from to subject date message-id mime-version content-type".split())
_ENCODED_WORD = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?([^?]*)\?=")
_BASE64 = (string.ascii_letters + string.digits + "+/").encode()
_NOT_BASE64 = bytes(set(range(256)) - set(_BASE64))


def split(data: bytes) -> tuple[bytes, bytes]:
    """The header block of a message or part, and its body.

    A line that is no field ends the block even where the blank line before the body is missing.
    """
    position = 0
    if data.startswith((b"From ", b">From ")):  # the first line of an mbox entry
        position = data.find(b"\n") + 1 or len(data)
    start = position
    seen: set[bytes] = set()
    while position < min(len(data), _MAX_BLOCK):
        end = data.find(b"\n", position) + 1 or len(data)
        is_folded = data[position] in b" \t" and position > start
        if is_folded:
            pass
        elif match := _NAME.match(data, position, end):
            seen.add(match.group(1).lower())
        elif not data[position:end].strip(b"\r\n"):
            return data[start:position], data[end:]
        elif not _is_junk(data, end, seen):
            return data[start:position], data[position:]
        position = end
    return data[start:position], data[position:]


def _is_junk(data: bytes, position: int, seen: set[bytes]) -> bool:
    """Whether a line that is no field stands between fields, and does not begin the body.

    It does where the body follows without a blank line: then the usual fields have all been seen.
    """
    for _ in range(_MAX_JUNK):
        end = data.find(b"\n", position) + 1 or len(data)
        if not data[position:end].strip():
            return False
        following = _NAME.match(data, position, end)
        if following and following.group(1).lower() in _USUAL - seen:
            return True
        position = end
    return False


def fields(block: bytes) -> tuple[tuple[str, str], ...]:
    """Name (lower case) and value of each field, in order; values unfolded, not yet decoded."""
    found: list[tuple[str, str]] = []
    lines: list[bytes] = []
    for line in block.splitlines():
        if line[:1] in (b" ", b"\t") and lines:
            lines.append(line)
            continue
        _add(found, lines)
        lines = [line]
        if len(found) >= MAX_FIELDS:
            return tuple(found)
    _add(found, lines)
    return tuple(found)


def _add(found: list[tuple[str, str]], lines: list[bytes]) -> None:
    match = _NAME.match(lines[0]) if lines else None
    if match:
        value = b"".join([lines[0][match.end() :], *lines[1:]])[:MAX_VALUE]
        text = value.decode("ascii") if value.isascii() else decode(value)
        found.append((match.group(1).decode("ascii").lower(), storable(text).strip()))


def decode_words(value: str) -> str:
    """The text of a value with encoded words (RFC 2047), also of broken ones.

    Neighbouring words in one charset are joined before they are decoded: some programs split
    letters between them.
    """
    if "=?" not in value:
        return value
    pieces: list[str] = []
    pending, charset, position = b"", "", 0
    for match in _ENCODED_WORD.finditer(value):
        between = value[position : match.start()]
        position = match.end()
        encoded = _decode_word(match.group(2), match.group(3))
        its_charset = match.group(1).partition("*")[0].lower()
        if pending and not between.strip() and its_charset == charset:
            pending += encoded
            continue
        is_joined = bool(pending) and not between.strip()
        pieces += [decode(pending, charset), "" if is_joined else between]
        pending, charset = encoded, its_charset
    pieces += [decode(pending, charset), value[position:]]
    return "".join(pieces)


def _decode_word(encoding: str, text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    if encoding in "bB":
        return decode_base64(data)
    return binascii.a2b_qp(data, header=True)


def decode_base64(data: bytes) -> bytes:
    """What base64 text says; other characters are passed over, and a broken end is left out."""
    letters = data.translate(None, _NOT_BASE64)
    letters = letters[: len(letters) - 1] if len(letters) % 4 == 1 else letters
    return binascii.a2b_base64(letters + b"=" * (-len(letters) % 4))


def parameters(value: str) -> tuple[str, dict[str, str]]:
    """“text/plain; charset=x” as its first word (lower case) and its parameters (RFC 2231 too)."""
    message = Message()
    message["content-type"] = value[:_MAX_PARAMETERS].replace("\r", " ").replace("\n", " ")
    pairs: Sequence[tuple[str, Any]]  # the type stubs leave out the three parts of RFC 2231
    try:
        pairs = message.get_params(failobj=[], unquote=True)
    except (ValueError, LookupError, TypeError, AttributeError):
        pairs = []
    found: dict[str, str] = {}
    for name, written in pairs[1:]:
        if isinstance(written, tuple):
            charset, _, text = written
            written = decode(text.encode("latin-1", "replace"), charset or "")
        found.setdefault(name.lower(), decode_words(written))
    return value.partition(";")[0].strip().lower(), found


def parse_date(value: str) -> tuple[datetime | None, bool]:
    """A Date header as an aware time (UTC where it names no zone), and whether it named one.

    None where there is none or an impossible one. “-0000” is no zone (RFC 5322, 3.3).
    """
    try:
        date = parsedate_to_datetime(value[:200])
        has_zone = date.tzinfo is not None
        date = date if has_zone else date.replace(tzinfo=UTC)
        date.astimezone(UTC)  # within a day of year 1 or 9999 there is no such time
    except (ValueError, TypeError, IndexError, OverflowError):
        return None, False
    return date, has_zone
