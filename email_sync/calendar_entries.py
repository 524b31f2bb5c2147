"""Conversations on the calendar: each on the date of its first message (seed 003)."""

from collections.abc import Iterable

from django.db.models import Exists, F, OuterRef, Q, Subquery

from accounts.calendar_entries import Entry, Kind, Wanted
from email_sync.models import Email, EmailContact
from email_sync.models.emails import EmailQuerySet


def conversations(wanted: Wanted) -> list[Entry]:
    """The conversations that began in the span, as far as the viewer may read them: one query.

    “Began” is the first message among those that are asked for: for a customer's calendar with one
    of its contacts. Users' copies of that message are one entry with all their names.
    """
    by_thread: dict[str, list[Email]] = {}
    for email in _beginnings(wanted):
        by_thread.setdefault(email.thread_key, []).append(email)
    return [_entry(copies, wanted) for copies in by_thread.values()]


def _asked_for(wanted: Wanted) -> EmailQuerySet:
    emails = Email.objects.readable_by(wanted.viewer)
    if wanted.owner:
        emails = emails.filter(user=wanted.owner)
    if wanted.customer:
        emails = emails.of_customer(wanted.customer)
    if wanted.contact:
        emails = emails.of_contact(wanted.contact)
    return emails


def _beginnings(wanted: Wanted) -> Iterable[Email]:
    """Every user's copy of the first messages, whoever's mail server was the faster one."""
    emails = _asked_for(wanted)
    same_thread = emails.filter(thread_key=OuterRef("thread_key"), sent_at__lt=OuterRef("sent_at"))
    earlier = same_thread.filter(
        ~Q(message_key=OuterRef("message_key")) | Q(sent_at__lt=wanted.start)
    )
    customers = EmailContact.objects.filter(email=OuterRef("pk")).order_by("pk")
    return (
        emails.filter(~Exists(earlier), sent_at__gte=wanted.start, sent_at__lt=wanted.end)
        .annotate(customer_name=Subquery(customers.values("contact__customer__name")[:1]))
        .select_related("user")
        .only(
            "thread_key", "subject", "sent_at", "direction",
            "user__username", "user__first_name", "user__last_name",
        )
        .order_by(F("sent_at"), "pk")[: wanted.most]
    )  # fmt: skip


def _entry(copies: list[Email], wanted: Wanted) -> Entry:
    own = (email for email in copies if email.user_id == wanted.viewer.pk)
    email = next(own, copies[0])
    return Entry(
        id=f"email-{email.pk}",
        kind=Kind.EMAIL,
        title=email.subject or "(no subject)",
        start=copies[0].sent_at,
        end=copies[0].sent_at,
        url=email.get_absolute_url(),
        owners=tuple(sorted({copy.user.display_name for copy in copies})),
        type=f"Email, {email.get_direction_display().lower()}",
        customer=getattr(email, "customer_name", "") or "",
    )
