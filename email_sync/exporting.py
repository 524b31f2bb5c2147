"""The ledger and the emails as plain rows, for `export_history` and `export_emails`."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from email_sync.models import Email, EmailParticipant
from email_sync.models.emails import EmailQuerySet
from email_sync.models.ledger import LedgerQuerySet

HISTORY_COLUMNS = (
    "user processed_at sent_at direction source outcome reason subject from to cc contacts "
    "customers folder message_id"
).split()
EMAIL_COLUMNS = (
    "user message_id direction sources subject sent_at from to cc contacts customers body_text "
    "hidden"
).split()
_BATCH = 1_000


def history_rows(entries: LedgerQuerySet) -> Iterator[dict[str, Any]]:
    """One row for each ledger entry, oldest first; lists are lists, times ISO 8601 in UTC."""
    for entry in entries.select_related("user").order_by("processed_at", "pk").iterator(_BATCH):
        yield {
            "user": entry.user.username if entry.user else "",
            "processed_at": utc(entry.processed_at),
            "sent_at": utc(entry.sent_at),
            "direction": entry.direction,
            "source": entry.source,
            "outcome": entry.outcome,
            "reason": entry.reason,
            "subject": entry.subject,
            "from": entry.from_address,
            "to": entry.to,
            "cc": entry.cc,
            "contacts": entry.contacts,
            "customers": entry.customers,
            "folder": entry.folder,
            "message_id": entry.message_id,
        }


def email_rows(emails: EmailQuerySet) -> Iterator[dict[str, Any]]:
    """One row for each stored email, hidden ones too, oldest first."""
    related = (
        "participants",
        "links__contact__customer",
        "links__contact__addresses",
        "ledger",
        "further_ledger",
    )
    rows = emails.select_related("user").prefetch_related(*related).order_by("sent_at", "pk")
    for email in rows.iterator(_BATCH):
        yield _email_row(email)


def _email_row(email: Email) -> dict[str, Any]:
    people: dict[str, list[str]] = {role: [] for role in EmailParticipant.Role.values}
    for person in email.participants.all():
        people[person.role].append(person.address)
    seen = {address for addresses in people.values() for address in addresses}
    links = list(email.links.all())
    return {
        "user": email.user.username,
        "message_id": email.message_id,
        "direction": email.direction,
        "sources": sorted(
            {entry.source for entry in (*email.ledger.all(), *email.further_ledger.all())}
        ),
        "subject": email.subject,
        "sent_at": utc(email.sent_at),
        "from": (people["from"] or [""])[0],
        "to": people["to"],
        "cc": people["cc"],
        "contacts": sorted(
            {a.address for link in links for a in link.contact.addresses.all() if a.address in seen}
        ),
        "customers": sorted({link.contact.customer.number for link in links}),
        "body_text": email.body_text,
        "hidden": email.hidden_at is not None,
    }


def utc(moment: datetime | None) -> str:
    """ISO 8601 in UTC, to the second, “Z” at the end; "" for none."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if moment else ""
