"""What makes two messages the same message: pure functions.

Message-IDs are written by senders and get reused, so the key holds the sender and the subject
too: two messages of one user with one Message-ID and another From or subject are two messages.
Keys are compared within one user only; nothing is ever merged across users.
"""

import hashlib
import unicodedata
from collections.abc import Iterable


def normalise_message_id(header: str) -> str:
    """A Message-ID header without blanks, comments after it, and angle brackets. "" for none."""
    text = "".join(header.split())
    if "<" in text:
        text = text.partition("<")[2]
    return text.partition(">")[0]


def message_key(
    message_id: str, *, sender: str, subject: str, provider_id: str, mailbox_address: str
) -> str:
    """The key of a message; of one without a Message-ID, by the provider's id in that mailbox.

    `sender` and `mailbox_address` are normalised addresses. The subject is compared without blanks
    and case, because sources decode and fold it differently.
    """
    bare = normalise_message_id(message_id)
    if bare:
        return _digest(("message-id", bare, sender, _comparable(subject)))
    return _digest(("provider-id", mailbox_address, provider_id))


def inline_key(forward_key: str, number: int) -> str:
    """The key of a message that was cut out of a forward's text, without its own Message-ID."""
    return _digest(("inline", forward_key, str(number)))


def thread_key(
    message_id: str, *, in_reply_to: str, references: Iterable[str], own_key: str
) -> str:
    """The key of a conversation: that of its first message, as far as the headers name it."""
    for header in (*references, in_reply_to, message_id):
        root = normalise_message_id(header)
        if root:
            return _digest(("thread", root))
    return own_key


def _comparable(subject: str) -> str:
    return "".join(unicodedata.normalize("NFKC", subject).casefold().split())


def _digest(parts: tuple[str, ...]) -> str:
    text = "\0".join(parts).encode("utf-8", "replace")
    return hashlib.blake2b(text, digest_size=20).hexdigest()
