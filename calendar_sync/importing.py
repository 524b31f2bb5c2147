"""Action items from a CSV file: every good row is stored, every bad one is named.

A row says all of its item: an item with the same key is brought to what the row says, through the
same use cases that screens call. An empty `sync` follows the type, of a known item it stays.
"""

from datetime import UTC, date, datetime
from typing import TextIO
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils import timezone

from accounts.addresses import normalise
from accounts.importing import BadRow, Report, rows_of
from accounts.models import Contact, Customer, User
from calendar_sync import changing
from calendar_sync.changing import USUAL_LENGTH, ChangeRefused, Changes
from calendar_sync.models import ActionItem, ActionType
from calendar_sync.models.actions import midnight

COLUMNS = (
    "key owner type title starts_at ends_at all_day customer_number contact_email location note "
    "sync completed deleted"
).split()
_LONGEST = {"key": 200, "type": 60}


def import_actions(file: TextIO) -> Report:
    """Create and update action items by key."""
    report = Report()
    users = {user.username.casefold(): user for user in User.objects.all()}
    rows = rows_of(file, COLUMNS, report)
    for line, row in rows:
        try:
            # Each by itself: a pass that locks several items must not meet a long transaction.
            with transaction.atomic():
                report.counts[_store(row, users)] += 1
        except (BadRow, ChangeRefused) as cause:
            report.reject(line, str(cause))
    return report


def _store(row: dict[str, str], users: dict[str, User]) -> str:
    _check(row)
    now = timezone.now()
    item = ActionItem.objects.select_related("owner").filter(import_key=row["key"]).first()
    values = _values(row, users)
    is_deleted = _switch(row, "deleted") or False
    if item is None:
        item = changing.create_action(values, by=None, now=now, import_key=row["key"])
        if values.get("is_completed"):
            changing.complete(item, by=None, now=now)
        if is_deleted:
            changing.delete_action(item, by=None, now=now)
        return "created"
    before = item.changes.count()
    changing.edit_action(item, values, by=None, now=now)
    (changing.delete_action if is_deleted else changing.restore_action)(item, by=None, now=now)
    return "updated" if item.changes.count() != before else "unchanged"


def _check(row: dict[str, str]) -> None:
    for name in ("key", "owner", "type", "title", "starts_at"):
        if not row[name]:
            raise BadRow(f"{name} is empty.")
    for name, limit in _LONGEST.items():
        if len(row[name]) > limit:
            raise BadRow(f"{name} is longer than {limit} characters.")


def _values(row: dict[str, str], users: dict[str, User]) -> Changes:
    owner = users.get(row["owner"].casefold())
    if owner is None:
        raise BadRow(f"owner names a user that does not exist: {row['owner']}.")
    is_all_day = _switch(row, "all_day") or False
    starts_at, ends_at = _times(row, is_all_day, owner.zone)
    customer, contact = _people(row)
    values: Changes = {
        "owner": owner,
        "type": _type(row["type"]),
        "title": row["title"],
        "starts_at": starts_at,
        "ends_at": ends_at,
        "all_day": is_all_day,
        "customer": customer,
        "contact": contact,
        "location": row["location"],
        "note": row["note"],
        "is_completed": _switch(row, "completed") or False,
    }
    if (sync := _switch(row, "sync")) is not None:
        values["sync"] = sync
    return values


def _switch(row: dict[str, str], name: str) -> bool | None:
    """None where the cell is empty."""
    text = row[name].lower()
    if text in {"true", "false", ""}:
        return text == "true" if text else None
    raise BadRow(f"{name} is “true” or “false”, not “{row[name][:40]}”.")


def _times(row: dict[str, str], is_all_day: bool, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """An empty end: the usual length, or one day."""
    if is_all_day:
        first = _day(row, "starts_at")
        last = _day(row, "ends_at") if row["ends_at"] else first
        return midnight(first), midnight(last)
    start = _instant(row, "starts_at", zone)
    return start, _instant(row, "ends_at", zone) if row["ends_at"] else start + USUAL_LENGTH


def _instant(row: dict[str, str], name: str, zone: ZoneInfo) -> datetime:
    """In UTC; without an offset it is the owner's time."""
    try:
        moment = datetime.fromisoformat(row[name])
    except ValueError:
        raise BadRow(f"{name} is no date and time in ISO 8601: “{row[name][:40]}”.") from None
    _check_year(moment.year, name)
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def _day(row: dict[str, str], name: str) -> date:
    try:
        day = date.fromisoformat(row[name])
    except ValueError:
        raise BadRow(f"{name} of an all-day item is a date, not “{row[name][:40]}”.") from None
    _check_year(day.year, name)
    return day


def _check_year(year: int, name: str) -> None:
    # Further away, time zones lead out of the calendar.
    if not 1900 <= year < 3000:
        raise BadRow(f"{name} is not in this age.")


def _type(name: str) -> ActionType:
    return ActionType.objects.filter(name__iexact=name).first() or ActionType.objects.create(
        name=name
    )


def _people(row: dict[str, str]) -> tuple[Customer | None, Contact | None]:
    """The customer by number, its contact by address; an address alone must be one contact's."""
    number, address = row["customer_number"], normalise(row["contact_email"])
    if row["contact_email"] and not address:
        raise BadRow(f"“{row['contact_email'][:80]}” is not an email address.")
    customer = Customer.objects.filter(number=number).first() if number else None
    if number and customer is None:
        raise BadRow(f"There is no customer {number}.")
    if not address:
        return customer, None
    contacts = Contact.objects.select_related("customer").filter(addresses__address=address)
    if customer is not None:
        contacts = contacts.filter(customer=customer)
    found = list(contacts[:2])
    if not found:
        raise BadRow(f"There is no contact {address}" + (f" of {number}." if number else "."))
    if len(found) > 1 and customer is None:
        raise BadRow(f"Several customers have a contact {address}: name the customer_number.")
    return found[0].customer, found[0]
