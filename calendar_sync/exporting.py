"""The action items as plain rows, for `export_actions`."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from calendar_sync.models import ActionItem
from calendar_sync.models.actions import ActionItemQuerySet

COLUMNS = (
    "user origin type title starts_at ends_at all_day location completed cancelled sync event_id "
    "attendees customers"
).split()
_BATCH = 1_000


def action_rows(items: ActionItemQuerySet) -> Iterator[dict[str, Any]]:
    """One row for each item that was not deleted, by date; lists are lists.

    Times are ISO 8601 in UTC; all-day items carry dates, the end inclusive.
    """
    rows = (
        items.visible()
        .select_related("owner", "type", "customer", "contact__customer")
        .prefetch_related("attendees__contacts__customer", "links")
        .order_by("starts_at", "pk")
    )
    for item in rows.iterator(_BATCH):
        yield _row(item)


def _row(item: ActionItem) -> dict[str, Any]:
    attendees = list(item.attendees.all())
    customers = {contact.customer for row in attendees for contact in row.contacts.all()}
    customers |= {item.customer} if item.customer else set()
    customers |= {item.contact.customer} if item.contact else set()
    links = (link for link in item.links.all() if link.event_id and not link.is_leaving)
    return {
        "user": item.owner.username,
        "origin": item.origin,
        "type": item.type.name,
        "title": item.title,
        "starts_at": _when(item.starts_at, item.all_day),
        "ends_at": _when(item.ends_at, item.all_day),
        "all_day": item.all_day,
        "location": item.location,
        "completed": item.completed_at is not None,
        "cancelled": item.cancelled_at is not None,
        "sync": item.sync,
        "event_id": next((link.event_id for link in links), ""),
        "attendees": [row.address for row in attendees if row.address],
        "customers": sorted(customer.number for customer in customers),
    }


def _when(moment: datetime, is_day: bool) -> str:
    form = "%Y-%m-%d" if is_day else "%Y-%m-%dT%H:%M:%SZ"
    return f"{moment.astimezone(UTC):{form}}"
