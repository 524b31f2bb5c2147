"""What people decide about messages of the intake that the rules leave open.

Each decision reads the message again from Gmail, lets the rules run with what the person said, and
writes the outcome into the ledger entry that is there. It is made once, and it is in the trace.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from msgspec.structs import replace

from accounts import leases, system_settings
from accounts.addresses import normalise
from accounts.models import User
from crm_sync.providers.errors import ItemGone, ProviderError
from crm_sync.providers.types import IntakeMessage
from email_sync import store
from email_sync.gateway import gmail
from email_sync.intake import desk_of
from email_sync.intake_reading import decide, read_safely
from email_sync.intake_rules import Ruling
from email_sync.models import Email, IntakeConnection, IntakeReview, LedgerEntry, TrustedSender
from email_sync.processed import Processed

Decision = IntakeReview.Decision
Kind = IntakeReview.Kind


class Refused(Exception):
    """The decision cannot be made, and nothing was changed; the message is a sentence."""


def approve(review: IntakeReview, *, by: User, now: datetime) -> None:
    """This one message is from the rep that it names, although nothing proves it."""
    _require(review, Kind.SENDER)
    _settle(review, Decision.APPROVED, by=by, now=now, is_sender_proved=True)


def trust(review: IntakeReview, *, by: User, now: datetime) -> None:
    """It is, and so is whatever comes from that address from now on."""
    _require(review, Kind.SENDER)
    _settle(review, Decision.TRUSTED, by=by, now=now, is_sender_proved=True, then=_trust)


def _trust(entry: LedgerEntry, by: User) -> None:
    if entry.user is None:
        raise Refused("It is no user's address, so it cannot be trusted.")
    trusted, _ = TrustedSender.objects.get_or_create(
        address=entry.from_address, defaults={"user": entry.user, "trusted_by": by}
    )
    if trusted.user != entry.user:
        raise Refused("This address is trusted as another user's already.")


def correct(
    review: IntakeReview, *, by: User, now: datetime, sender: str, date: datetime | None = None
) -> None:
    """Say who wrote the message that was forwarded, and when (None: as it was read)."""
    _require(review, Kind.FORWARD)
    address = normalise(sender)
    if not address:
        raise Refused(f"“{sender}” is not an email address.")
    correction = {"from": address, "date": date.isoformat() if date else ""}
    _settle(review, Decision.CORRECTED, by=by, now=now, correction=correction)


def originals(review: IntakeReview) -> list[Email]:
    """The stored emails that could be the one that was forwarded."""
    offered = review.extracted.get("emails", ())
    emails = Email.objects.filter(pk__in=offered, user=review.entry.user)
    return list(emails.defer("body_text", "body_html").prefetch_related("participants"))


def choose_original(review: IntakeReview, *, by: User, now: datetime, email_id: int | None) -> None:
    """Say which stored email was forwarded; None: none of them, it is one of its own."""
    _require(review, Kind.DUPLICATE)
    if email_id is not None and email_id not in {email.pk for email in originals(review)}:
        raise Refused("That email is not one of those that could have been forwarded.")
    _settle(review, Decision.CHOSEN, by=by, now=now, correction={"email": email_id or 0})


def retry(review: IntakeReview, *, by: User, now: datetime) -> None:
    """Look again who sent it: since it came in, the address may have become a user's alias."""
    _require(review, Kind.UNREGISTERED)
    _settle(review, Decision.TRIED_AGAIN, by=by, now=now)


def dismiss(review: IntakeReview, *, by: User, now: datetime) -> None:
    """Leave it as it is."""
    _close(review, Decision.DISMISSED, by=by, now=now)


def reopen(review: IntakeReview) -> None:
    """Undo a dismissal, as long as what was read of the message is still there."""
    dismissed = IntakeReview.objects.filter(pk=review.pk, decision=Decision.DISMISSED)
    undone = dismissed.exclude(extracted={})
    try:
        with transaction.atomic():
            is_open = undone.update(decision="", decided_at=None, decided_by=None)
    except IntegrityError:
        is_open = 0  # There is a newer question about the message.
    if not is_open:
        raise Refused("This can no longer be undone.")
    review.refresh_from_db()


def _require(review: IntakeReview, kind: str) -> None:
    if review.kind != kind:
        raise Refused("This cannot be decided about a message of this kind.")
    if review.decided_at is not None:
        raise Refused("Somebody has decided about this message already.")


def _settle(
    review: IntakeReview,
    decision: str,
    *,
    by: User,
    now: datetime,
    is_sender_proved: bool = False,
    correction: dict[str, Any] | None = None,
    then: Callable[[LedgerEntry, User], None] = lambda entry, by: None,
) -> None:
    """Read the message again and write what becomes of it into its entry; `then` goes with it."""
    entry = LedgerEntry.objects.select_related("intake").get(pk=review.entry_id)
    ruling = _ruling(entry, by, correction or {}, is_sender_proved=is_sender_proved)
    item = _judged(entry, ruling)
    if item.decision.reason == "sender-not-registered":
        raise Refused(
            "Its sender is not a user's address. Add it to the aliases of the user whose it is, "
            "then try again."
        )
    words = f"{by.display_name}: {Decision(decision).label.lower()}."
    trace = {**item.decision.trace, "decided": words}
    item = replace(item, decision=replace(item.decision, trace=trace))
    with transaction.atomic():
        leases.lock(_connection(entry))
        _close(review, decision, by=by, now=now, correction=correction or {})
        try:
            store.settle(entry, item, now=now)
        except store.AlreadyThere:
            raise Refused(
                "The same message is in the history already, so this one can be dismissed."
            ) from None
        then(entry, by)


def _ruling(
    entry: LedgerEntry, by: User, correction: dict[str, Any], *, is_sender_proved: bool
) -> Ruling:
    """What is decided now, together with what people decided about this message before."""
    former = list(entry.reviews.exclude(decided_at=None).order_by("decided_at"))
    said: dict[str, Any] = {}
    for review in former:
        said |= review.correction
    said |= correction
    approvals = {Decision.APPROVED, Decision.TRUSTED}
    return Ruling(
        by=by.display_name,
        is_sender_proved=is_sender_proved or any(r.decision in approvals for r in former),
        original_sender=said.get("from", ""),
        original_date=datetime.fromisoformat(said["date"]) if said.get("date") else None,
        email_id=said.get("email"),
    )


def _judged(entry: LedgerEntry, ruling: Ruling) -> Processed:
    settings = system_settings.current()
    connection = _connection(entry)
    message = _fetch(connection, entry.provider_id)
    desk = desk_of(connection, settings)
    draft = read_safely(message, desk=desk, ruling=ruling)
    if isinstance(draft, str):
        raise Refused(draft)
    [item] = decide([draft], desk=desk, settings=settings)
    return item


def _connection(entry: LedgerEntry) -> IntakeConnection:
    if entry.intake is None or not entry.intake.is_authorised:
        raise Refused("The Gmail mailbox to which it was sent is no longer connected.")
    return entry.intake


def _fetch(connection: IntakeConnection, message_id: str) -> IntakeMessage:
    try:
        return gmail(connection).message(message_id)
    except ItemGone:
        raise Refused(
            "The message is no longer in the Gmail mailbox, so it can only be dismissed."
        ) from None
    except ProviderError as error:
        raise Refused(str(error)) from None


def _close(
    review: IntakeReview,
    decision: str,
    *,
    by: User,
    now: datetime,
    correction: dict[str, Any] | None = None,
) -> None:
    """Write down who decided what. Raises Refused where somebody was faster."""
    decided = IntakeReview.objects.open().filter(pk=review.pk)
    changes = {"decision": decision, "decided_at": now, "decided_by": by}
    if not decided.update(**changes, correction=correction or {}):
        raise Refused("Somebody has decided about this message already.")
    review.refresh_from_db()
