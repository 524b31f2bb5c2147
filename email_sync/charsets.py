"""Bytes of a stranger's mail as text that can be stored. Nothing here raises."""

import codecs
import re
from functools import lru_cache

import charset_normalizer

#: charset-normalizer is slow; a sample says as much as the whole.
_SAMPLE = 8_000
#: Text of which less is beyond ASCII is of a Latin alphabet, and between those it guesses badly.
_FOREIGN_ALPHABET = 0.25
_ENOUGH_TO_GUESS = 12

#: What senders write and what they mean: the larger set that contains the declared one.
_MEANT = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "iso2022_jp": "iso2022_jp_ext",
    "tis-620": "cp874",
}
#: Codecs of Python's own that are no charset of any mail; some take quadratic time.
_NO_CHARSETS = frozenset({"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined"})
_SINGLE_BYTE = ("cp125", "cp4", "cp8", "iso8859", "koi8", "mac", "tis")
#: A declared charset is believed as long as no more than this share of its letters is broken.
_BEARABLE_DAMAGE = 0.2
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def decode(data: bytes, charset: str = "") -> str:
    """The text of `data`: declared charset, else UTF-8, else a guess, else windows-1252.

    NUL is dropped (PostgreSQL refuses it) and lone surrogates are replaced. Text that is declared
    as of one byte a letter and reads as UTF-8 is UTF-8: by chance that all but never happens.
    """
    return storable(_decode(data, _codec(charset)).removeprefix("\ufeff"))


def storable(text: str) -> str:
    """The text without NUL and lone surrogates, neither of which can be stored."""
    return _LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text.replace("\0", ""))


def _decode(data: bytes, declared: str) -> str:
    is_single_byte = not declared or declared.startswith(_SINGLE_BYTE)
    for name in ("utf-8", declared) if is_single_byte else (declared, "utf-8"):
        text = _strictly(data, name) if name else None
        if text is not None:
            return text
    if declared:
        text = data.decode(declared, "replace")
        foreign = sum(not c.isascii() for c in text)
        if text.count("\N{REPLACEMENT CHARACTER}") <= foreign * _BEARABLE_DAMAGE:
            return text
    return data.decode(_guess(data) or "cp1252", "replace")


def _strictly(data: bytes, codec: str) -> str | None:
    try:
        return data.decode(codec)
    except (UnicodeError, ValueError):
        return None


def _guess(data: bytes) -> str:
    sample = data[:_SAMPLE]
    foreign = sum(byte > 127 for byte in sample)
    if foreign < max(_ENOUGH_TO_GUESS, len(sample) * _FOREIGN_ALPHABET):
        return ""
    best = charset_normalizer.from_bytes(sample).best()
    return best.encoding if best else ""


@lru_cache(maxsize=256)
def _codec(charset: str) -> str:
    """Python's name of the charset that is meant; "" for none or one that does not exist."""
    try:
        name = codecs.lookup(charset[:60].strip().strip("\"'")).name
        b"a".decode(name, "ignore")  # refuses what turns bytes into bytes (hex, zip)
    except (LookupError, ValueError):
        return ""
    name = _MEANT.get(name, name)
    return "" if name in _NO_CHARSETS else name
