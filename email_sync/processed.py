"""A message on its way from the provider into the ledger: plain values."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from accounts.addresses import normalise
from crm_sync.providers.types import Attachment, Message, MessageHeaders
from email_sync import html
from email_sync.message_keys import message_key
from email_sync.originals import likeness
from email_sync.rules import Decision

#: Recipients that a review names at most.
REVIEWED_ADDRESSES = 50
#: What there is one ledger entry of: user, source and key.
Row = tuple[int | None, str, str]


class Content(Struct, frozen=True):
    """A matched message's text, safe to keep: cut to size and sanitised outside the transaction.

    `likeness` is what a copy of it without a Message-ID is known by (`email_sync.originals`).
    """

    headers: MessageHeaders
    text: str
    html: str
    attachments: tuple[Attachment, ...]
    likeness: str = ""


def content_of(message: Message) -> Content:
    """What is kept of a message that matched."""
    body_html = html.sanitise(message.body) if message.is_html else ""
    text = html.shortened(html.to_text(body_html) if message.is_html else message.body)
    headers = message.headers
    sender = normalise(headers.from_[0].address) if headers.from_ else ""
    return Content(
        headers=headers,
        text=text,
        html=body_html,
        attachments=message.attachments,
        likeness=likeness(sender, headers.subject, text),
    )


class Origin(Struct, frozen=True):
    """Whose message it is and how it came in; `user_id` is None for mail from nobody here."""

    user_id: int | None
    source: str
    mailbox_id: int | None = None
    intake_id: int | None = None


class Review(Struct, frozen=True):
    """What a person must decide about a message of the intake (`models.IntakeReview`)."""

    kind: str
    extracted: dict[str, Any]
    confidence: float = 0.0


class Processed(Struct, frozen=True):
    """One message with what was decided about it, ready to be stored.

    `content` is there only for a match whose email is not stored yet. `failure` is why the text
    could not be read; `attempts` counts the tries.

    `originals` are the messages inside a forward: the ledger entry is the forward's, the emails are
    theirs. One that `is_inline` was cut out of a text, without its Message-ID; `same_as` is the
    email that a person says it is (0 for none of those there are; None: nobody said).
    """

    origin: Origin
    headers: MessageHeaders
    addresses: dict[str, tuple[str, ...]]
    key: str
    decision: Decision
    folder: str = ""
    content: Content | None = None
    failure: str = ""
    attempts: int = 0
    originals: tuple["Processed", ...] = ()
    is_inline: bool = False
    same_as: int | None = None
    review: Review | None = None

    @property
    def row(self) -> Row:
        return (self.origin.user_id, self.origin.source, self.key)

    @property
    def to_store(self) -> tuple["Processed", ...]:
        """The messages of which emails are made: itself, or those inside a forward."""
        messages = self.originals or (self,)
        return tuple(message for message in messages if message.decision.matches)


def extract(headers: MessageHeaders) -> dict[str, Any]:
    """What a person is shown of a message in order to decide about it: never text."""
    sender = headers.from_[0] if headers.from_ else None
    return {
        "from": normalise(sender.address) if sender else "",
        "name": sender.name if sender else "",
        "to": [normalise(person.address) for person in headers.to[:REVIEWED_ADDRESSES]],
        "cc": [normalise(person.address) for person in headers.cc[:REVIEWED_ADDRESSES]],
        "subject": headers.subject,
        "date": headers.received_at.isoformat() if headers.received_at else "",
    }


def key_of(
    headers: MessageHeaders, *, addresses: Mapping[str, Sequence[str]], mailbox_address: str
) -> str:
    """The message's key within its user (see `email_sync.message_keys`)."""
    return message_key(
        headers.message_id,
        sender=addresses["from"][0] if addresses["from"] else "",
        subject=headers.subject,
        provider_id=headers.id,
        mailbox_address=mailbox_address,
    )
