"""What Nylas tells us by webhook: verified, taken once, and passed on as a hint.

A notification is delivered at least once, in no promised order, and “created” and “updated” may be
mixed up (contract sheet §6). So nothing in it is believed but which object it is about: whoever
hears of it asks the provider again. Polling finds all of it without webhooks, only later.
"""

import hashlib
import hmac
import zlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

import msgspec
from django.conf import settings
from django.db import IntegrityError, transaction
from msgspec import Struct

from accounts import notices, outcomes
from accounts.connecting import want_sync
from accounts.models import Mailbox, WebhookCounter, WebhookNotification, WebhookRegistration
from accounts.models.mailboxes import grant_digest
from accounts.signals import notification_received
from crm_sync.providers.errors import ReconnectRequired
from crm_sync.providers.types import AuthorisationGateway

#: Nylas cuts what it sends at 1 MB (contract sheet §6, “Truncation”).
MOST_BYTES = 5_000_000
MOST_UNPACKED_BYTES = 10_000_000
#: Repeats come within minutes, those of an outage within three days (contract sheet §3, “Gap”).
NOTIFICATIONS_KEPT = timedelta(days=7)
COUNTERS_KEPT = timedelta(days=400)
_LONGEST_ID = 500
_BATCH = 5_000


class Verdict(StrEnum):
    """What became of a request; also the names of the counters."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    IGNORED = "ignored"
    UNKNOWN_GRANT = "unknown-grant"
    MALFORMED = "malformed"
    TOO_LARGE = "too-large"
    BAD_SIGNATURE = "bad-signature"


Kind = Literal["message", "message-gone", "event", "event-gone", "calendar", "grant", ""]


class Notification(Struct, frozen=True):
    """What a notification is about; `kind` is "" for what we do not listen to.

    `type` is Nylas's own word for it.
    """

    id: str
    type: str
    kind: Kind
    grant_id: str = ""
    object_id: str = ""


class Malformed(ValueError):
    """Signed, yet not a notification as Nylas writes it."""


# --- receiving -----------------------------------------------------------------------------------


def receive(body: bytes, *, signature: str, now: datetime) -> Verdict:
    """Judge one request and, if it is news, pass it on after the commit. Asks no provider.

    A bad signature leaves its counter and nothing else.
    """
    verdict = _judge(body, signature, now)
    count(verdict, now=now)
    return verdict


def count(verdict: Verdict, *, now: datetime) -> None:
    # Not in the transaction of the notification, which all others would then have to wait for.
    WebhookCounter.objects.add(verdict, day=now.date())


def _judge(body: bytes, signature: str, now: datetime) -> Verdict:
    if not is_signed(body, signature, secrets=accepted_secrets(now)):
        return Verdict.BAD_SIGNATURE
    try:
        notification = read_notification(body)
    except Malformed:
        return Verdict.MALFORMED
    if not notification.kind:
        return Verdict.IGNORED
    # Without the grant itself: there is nothing to decrypt in order to find its mailbox.
    mailboxes = Mailbox.objects.defer("grant_id")
    mailbox = mailboxes.filter(grant_digest=grant_digest(notification.grant_id)).first()
    if mailbox is None:
        return Verdict.UNKNOWN_GRANT
    try:
        with transaction.atomic():
            WebhookNotification.objects.create(
                notification_id=_key(notification.id), type=notification.type, received_at=now
            )
    except IntegrityError:
        return Verdict.DUPLICATE
    transaction.on_commit(lambda: _pass_on(mailbox, notification))
    return Verdict.ACCEPTED


def _pass_on(mailbox: Mailbox, notification: Notification) -> None:
    if notification.kind == "message-gone":
        return  # The CRM keeps its record.
    notification_received.send(
        Mailbox, mailbox=mailbox, kind=notification.kind, object_id=notification.object_id
    )


def accepted_secrets(now: datetime) -> list[str]:
    """With none, every webhook is refused."""
    registered = WebhookRegistration.objects.accepted(now).values_list("secret", flat=True)
    return list(filter(None, (settings.NYLAS_WEBHOOK_SECRET, *registered)))


def is_signed(body: bytes, signature: str, *, secrets: Iterable[str]) -> bool:
    """Whether `signature` was made over exactly these bytes with one of the secrets.

    The bytes are those on the wire: of a compressed body the compressed ones.
    """
    given = signature.encode(errors="replace")
    fits = [
        hmac.compare_digest(
            hmac.new(secret.encode(), body, hashlib.sha256).hexdigest().encode(), given
        )
        for secret in secrets
    ]
    return any(fits)


def _key(notification_id: str) -> str:
    """What a notification is remembered by: its id, or a digest where that cannot be stored."""
    if len(notification_id) < 64 and notification_id.isascii() and notification_id.isprintable():
        return notification_id
    return hashlib.sha256(notification_id.encode()).hexdigest()


# --- reading a notification ----------------------------------------------------------------------


class _Envelope(Struct):
    id: str
    type: str
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Object(Struct):
    grant_id: str
    id: str | None = None


class _Data(Struct):
    object: _Object


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_DATA = msgspec.json.Decoder(_Data)
#: What may follow “message.created” and others (contract sheet §6, “Variants”).
_VARIANTS = frozenset({"truncated", "transformed", "cleaned", "metadata"})


def read_notification(body: bytes) -> Notification:
    """Raises Malformed. What is not ours to listen to may have any form within its envelope."""
    try:
        envelope = _ENVELOPE.decode(_unpacked(body))
        kind = kind_of(envelope.type)
        if not envelope.id:
            raise Malformed("It has no id.")
        if not kind:
            return Notification(envelope.id, envelope.type[:60], kind)
        about = _DATA.decode(envelope.data).object
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, zlib.error) as error:
        # The cause names places and types, but might quote: only its class goes on.
        raise Malformed(type(error).__name__) from None
    object_id = about.id or ""
    is_named = kind in {"message-gone", "grant"} or _is_plain(object_id)
    if not is_named or not _is_plain(about.grant_id):
        raise Malformed("It does not say what it is about.")
    return Notification(envelope.id, envelope.type[:60], kind, about.grant_id, object_id)


#: Of a series only the master is named, whatever befell one of its occurrences (contract sheet §6).
_KINDS: dict[str, Kind] = {
    "message.created": "message",
    "message.updated": "message",
    "message.deleted": "message-gone",
    "event.created": "event",
    "event.updated": "event",
    "event.deleted": "event-gone",
    "calendar.created": "calendar",
    "calendar.updated": "calendar",
    "calendar.deleted": "calendar",
    "grant.expired": "grant",
    "grant.updated": "grant",
    "grant.deleted": "grant",
}


def kind_of(trigger: str) -> Kind:
    room, _, rest = trigger.partition(".")
    word, *variants = rest.split(".")
    return _KINDS.get(f"{room}.{word}", "") if _VARIANTS.issuperset(variants) else ""


def _is_plain(text: str) -> bool:
    """Whether it can be an id at all: PostgreSQL refuses a NUL, and no id is that long."""
    return 0 < len(text) <= _LONGEST_ID and text.isprintable()


def _unpacked(body: bytes) -> bytes:
    """The body without its compression, which shows in its first bytes: no JSON begins so."""
    if not body.startswith(b"\x1f\x8b"):
        return body
    unpacker = zlib.decompressobj(wbits=31)
    content = unpacker.decompress(body, MOST_UNPACKED_BYTES)
    if not unpacker.eof:
        raise Malformed("It is cut off, or too large when unpacked.")
    return content


# --- what a notification leads to ----------------------------------------------------------------


def check_grant(mailbox: Mailbox, *, gateway: AuthorisationGateway, now: datetime) -> None:
    """Ask how the grant stands, and write down what the provider says now.

    Raises the gateway's ProviderError where it cannot tell; then nothing has changed.
    """
    rejection = None
    try:
        if not gateway.grant(mailbox.grant_id).is_valid:
            rejection = ReconnectRequired(
                "The mailbox no longer accepts our access. It must be authorised again."
            )
    except ReconnectRequired as error:
        rejection = error
    if rejection is not None:
        reject(mailbox, rejection, now=now)
    elif mailbox.rejected_at is not None:
        with transaction.atomic():
            outcomes.accept_grant(mailbox)
            want_sync(mailbox, now=now)


def reject(mailbox: Mailbox, error: ReconnectRequired, *, now: datetime) -> None:
    """Write the rejection down and tell people of it, once.

    Not if the mailbox was authorised again since it was read: a grant keeps its id then (contract
    sheet §2, “Re-auth”), and the refusal belongs to the time before.
    """
    with transaction.atomic():
        same = Mailbox.objects.filter(pk=mailbox.pk, authorised_at=mailbox.authorised_at)
        is_same = bool(same.select_for_update().values_list("pk"))
        is_first = is_same and outcomes.record_rejection(mailbox, error, now=now)
    if is_first:
        notices.tell_of_rejection(mailbox)


def forget_old(*, now: datetime) -> int:
    """Delete notifications, counters and secrets that no longer matter; how many notifications."""
    WebhookCounter.objects.filter(day__lt=(now - COUNTERS_KEPT).date()).delete()
    WebhookRegistration.objects.filter(retired_at__lt=now - NOTIFICATIONS_KEPT).delete()
    old = WebhookNotification.objects.filter(received_at__lt=now - NOTIFICATIONS_KEPT)
    total = 0
    while batch := list(old.values_list("pk", flat=True)[:_BATCH]):
        total += WebhookNotification.objects.filter(pk__in=batch).delete()[0]
    return total
