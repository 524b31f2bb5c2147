"""Knowing a message again without its Message-ID, which a forward in the text does not name.

Pure functions. Two messages of one user are taken for the same when their sender, their subject
without prefixes and their text are the same, and they were sent about the same time (intake sheet,
rule 9). Exactly one such message links; where there are several, a person decides.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from email_sync.fingerprints import bare_subject, fingerprint

#: A quoted date often names no zone, and zones lie at most this far apart.
SAME_TIME = timedelta(hours=14)


def likeness(sender: str, subject: str, text: str) -> str:
    """What all copies of a message have in common; "" where there is too little to tell by.

    `sender` is a normalised address.
    """
    text_print = fingerprint(text)
    if not sender or not text_print:
        return ""
    parts = "\0".join((sender, bare_subject(subject), text_print)).encode("utf-8", "replace")
    return hashlib.blake2b(parts, digest_size=20).hexdigest()


class _Sent(Protocol):
    sent_at: datetime


_Copy = TypeVar("_Copy", bound=_Sent)


def same_time(copies: Iterable[_Copy], sent_at: datetime) -> list[_Copy]:
    """Those that may have been sent at this time."""
    return [copy for copy in copies if abs(copy.sent_at - sent_at) <= SAME_TIME]
