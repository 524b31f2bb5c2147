"""The one way in which people and commands change action items.

Each change is one transaction: the item is locked, the change and its line of history are stored,
the item's links learn what it means for calendars, and after the commit the owner's calendar is
synced soon. `changed_at` moves where a calendar shows the difference. Whether somebody may change
an item is the caller's matter (`calendar_sync.access`).
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, TypedDict

from django.db import transaction

from accounts.models import Contact, Customer, User
from calendar_sync import history
from calendar_sync.descriptions import LONGEST_LOCATION, LONGEST_TITLE, one_line
from calendar_sync.models import ActionItem, ActionType, EventLink
from calendar_sync.models.actions import IMPORTED, midnight
from calendar_sync.tasks import wake

#: How long a to-do is where nobody says.
USUAL_LENGTH = timedelta(minutes=30)


class ChangeRefused(Exception):
    """The item cannot be changed so; the message is a sentence for the user."""


class Changes(TypedDict, total=False):
    """What is changed; fields that are missing stay as they are.

    A form passes only what differs from what its user saw, so that a change which came from the
    mail app in the meantime is not undone. All-day items run from `midnight(first_day)` to
    `midnight(last_day)`, inclusive (`models.actions`).
    """

    owner: User
    type: ActionType
    title: str
    starts_at: datetime
    ends_at: datetime
    all_day: bool
    customer: Customer | None
    contact: Contact | None
    location: str
    note: str
    sync: bool
    is_completed: bool
    completion_note: str


#: All that can be changed of an imported appointment: the mail app's calendar has the rest.
_COMPLETION = {"is_completed", "completion_note"}
_WHEN = ("starts_at", "ends_at", "all_day")
#: What a calendar shows; `customer` and `contact` are in the description.
_SHOWN = ("title", *_WHEN, "location", "note", "customer", "contact")
_PLAIN = ("owner", "type", "title", "location", "note", "customer", "contact", "completion_note")


# --- the use cases -------------------------------------------------------------------------------


def create_action(
    values: Changes, *, by: User | None, now: datetime, import_key: str | None = None
) -> ActionItem:
    """A new to-do; needs owner, type, title and starts_at.

    Without an end it lasts USUAL_LENGTH, or one day; without `sync` its type decides; without a
    customer it is the contact's. Raises ChangeRefused.
    """
    item = ActionItem(
        owner=values["owner"],
        type=values["type"],
        import_key=import_key,
        created_by=by,
        created_at=now,
        changed_at=now,
        sync=values["type"].sync_by_default,
        starts_at=values["starts_at"],
        ends_at=values["starts_at"],
    )
    if "ends_at" not in values:
        length = timedelta() if values.get("all_day") else USUAL_LENGTH
        values = {**values, "ends_at": values["starts_at"].astimezone(UTC) + length}
    with transaction.atomic():
        _put(item, values, now=now)
        item.save()
        history.row(item, "Created", at=now, by=by).save()
        _wake_after_commit([item.owner_id], now)
    return item


def edit_action(
    item: ActionItem, changes: Changes, *, by: User | None, now: datetime
) -> ActionItem:
    """Change any of an item's fields: also hand it over, switch its sync, complete or reopen it.

    Raises ChangeRefused.
    """
    return _change(item, changes, by=by, now=now)


def reschedule(
    item: ActionItem,
    *,
    starts_at: datetime,
    ends_at: datetime,
    all_day: bool,
    by: User | None,
    now: datetime,
) -> ActionItem:
    when: Changes = {"starts_at": starts_at, "ends_at": ends_at, "all_day": all_day}
    return _change(item, when, by=by, now=now)


def reassign(item: ActionItem, *, to: User, by: User | None, now: datetime) -> ActionItem:
    """Hand the item over: its event leaves one rep's calendar and is made in the other's."""
    return _change(item, {"owner": to}, by=by, now=now)


def complete(item: ActionItem, *, note: str = "", by: User | None, now: datetime) -> ActionItem:
    """It stays in the calendar until it is deleted (seed 001). An empty note keeps the former."""
    changes: Changes = {"is_completed": True}
    if note:
        changes["completion_note"] = note
    return _change(item, changes, by=by, now=now)


def reopen(item: ActionItem, *, by: User | None, now: datetime) -> ActionItem:
    return _change(item, {"is_completed": False}, by=by, now=now)


def delete_action(item: ActionItem, *, by: User | None, now: datetime) -> ActionItem:
    """Gone from screens and exports; its event is removed. An imported one does not come back."""
    with transaction.atomic():
        item = _locked(item)
        if item.deleted_at is None:
            item.deleted_at = now
            item.save(update_fields=["deleted_at"])
            _conclude(item, "Deleted", by=by, now=now)
    return item


def restore_action(item: ActionItem, *, by: User | None, now: datetime) -> ActionItem:
    """Take a deletion back; where its event is gone already, it is made again."""
    with transaction.atomic():
        item = _locked(item)
        if item.deleted_at is not None:
            item.deleted_at = None
            item.save(update_fields=["deleted_at"])
            _conclude(item, "Restored", by=by, now=now)
    return item


def sync_again(item: ActionItem, *, by: User | None, now: datetime) -> ActionItem:
    """Put an item back into the calendar whose event was deleted in the mail app."""
    with transaction.atomic():
        item = _locked(item)
        if item.unlinked_at is not None:
            item.unlinked_at, item.sync = None, True
            item.save(update_fields=["unlinked_at", "sync"])
            _conclude(item, "Sent to the mail app again", by=by, now=now)
    return item


def hand_over_customer(
    customer: Customer, *, former: User, to: User, by: User | None, now: datetime
) -> int:
    """Hand over the customer's open to-dos of its former rep; how many."""
    items = ActionItem.objects.visible().open().of_customer(customer)
    # In the order in which the sync locks them, too.
    items = items.filter(origin=ActionItem.Origin.CRM, owner=former).order_by("pk")
    with transaction.atomic():
        handed = [reassign(item, to=to, by=by, now=now) for item in items]
    return len(handed)


# --- how -----------------------------------------------------------------------------------------


def _locked(item: ActionItem) -> ActionItem:
    """The item as it is now; nobody else changes it in this transaction, the sync neither."""
    items = ActionItem.objects.select_for_update(of=("self",))
    return items.select_related("owner", "type", "customer", "contact__customer").get(pk=item.pk)


def _change(item: ActionItem, changes: Changes, *, by: User | None, now: datetime) -> ActionItem:
    with transaction.atomic():
        item = _locked(item)
        if item.is_imported and not _COMPLETION.issuperset(changes):
            raise ChangeRefused(
                "This appointment comes from the mail app's calendar: change it there."
            )
        former_owner, zone = item.owner_id, item.owner.zone
        before, shown = _values(item, zone), _shown(item)
        _put(item, changes, now=now)
        after = _values(item, zone)
        fields = {
            label: [before[label] or "–", after[label] or "–"]
            for label in before
            if before[label] != after[label]
        }
        if not fields and _shown(item) == shown:
            return item
        if _shown(item) != shown:
            item.changed_at = now
        if item.owner_id != former_owner:
            # What happened in the former owner's calendar says nothing about the new one's.
            item.unlinked_at = None
        item.save()
        summary = _summary(fields, after)
        _conclude(item, summary, by=by, now=now, fields=fields, former_owner=former_owner)
    return item


def _put(item: ActionItem, changes: Changes, *, now: datetime) -> None:
    """Put the values into the item, checked; nothing is stored. Raises ChangeRefused."""
    given: dict[str, Any] = {**changes}
    for name in _PLAIN:
        if name in given:
            setattr(item, name, given[name])
    item.title, item.location = one_line(item.title), one_line(item.location)
    _check_texts(item)
    if item.type.name.casefold() == IMPORTED.casefold() and not item.is_imported:
        raise ChangeRefused(f"“{IMPORTED}” is kept for appointments from people's calendars.")
    _put_people(item, given)
    if any(name in given for name in _WHEN):
        _put_time(item, given)
    if "sync" in given and given["sync"] != item.sync:
        item.sync, item.unlinked_at = given["sync"], None
    if "is_completed" in given:
        item.completed_at = (item.completed_at or now) if given["is_completed"] else None


def _check_texts(item: ActionItem) -> None:
    if not item.title:
        raise ChangeRefused("A short description is needed: it is what the calendar shows.")
    if len(item.title) > LONGEST_TITLE:
        raise ChangeRefused(f"The short description is longer than {LONGEST_TITLE} characters.")
    if len(item.location) > LONGEST_LOCATION:
        raise ChangeRefused(f"The location is longer than {LONGEST_LOCATION} characters.")


def _put_people(item: ActionItem, given: dict[str, Any]) -> None:
    if item.contact is not None and item.customer is None and not item.is_imported:
        item.customer = item.contact.customer
    if item.contact is not None and item.contact.customer_id != item.customer_id:
        if "contact" in given:
            raise ChangeRefused(f"{item.contact} is no contact of {item.customer}.")
        # Only the customer was changed: the contact was the former one's.
        item.contact = None


def _put_time(item: ActionItem, given: dict[str, Any]) -> None:
    item.all_day = given.get("all_day", item.all_day)
    # In one zone, Python compares clocks: wrong in a night in which they are changed.
    item.starts_at = given.get("starts_at", item.starts_at).astimezone(UTC)
    item.ends_at = given.get("ends_at", item.ends_at).astimezone(UTC)
    item.time_zone = ""
    if item.ends_at < item.starts_at:
        raise ChangeRefused("The end is before the start.")
    if item.all_day:
        item.starts_at = midnight(item.starts_at.astimezone(UTC).date())
        item.ends_at = midnight(item.ends_at.astimezone(UTC).date())


def _conclude(
    item: ActionItem,
    summary: str,
    *,
    by: User | None,
    now: datetime,
    fields: dict[str, list[str]] | None = None,
    former_owner: int | None = None,
) -> None:
    """The line of history, what it means for the links, and a pass soon."""
    history.row(item, summary, at=now, by=by, fields=fields).save()
    if item.is_imported:
        return
    links = EventLink.objects.live().filter(item=item)
    # Without `item_changed_at` the next pass compares, whatever the clocks say.
    links.update(attempts=0, failure="", item_changed_at=None)
    is_synced = item.sync and item.deleted_at is None
    leaving = links.exclude(mailbox__user=item.owner_id) if is_synced else links
    leaving.update(is_leaving=True)
    _wake_after_commit({item.owner_id, former_owner or item.owner_id}, now)


def _wake_after_commit(users: Iterable[int], now: datetime) -> None:
    transaction.on_commit(lambda: wake(users, now=now))


def _shown(item: ActionItem) -> tuple[Any, ...]:
    names = ("customer_id", "contact_id")
    return tuple(getattr(item, name) for name in (*_SHOWN[:-2], *names))


def _values(item: ActionItem, zone: tzinfo) -> dict[str, str]:
    """Everything that the history tells of an item, by label, in people's words."""
    shown = history.values_of(item, zone)
    return {
        **{history.LABELS[name]: value for name, value in shown.items()},
        "Assigned to": item.owner.display_name,
        "Type": item.type.name,
        "Customer": str(item.customer or ""),
        "Contact": str(item.contact or ""),
        "Sync": "Yes" if item.sync else "No",
        "Completed": "Yes" if item.completed_at else "No",
        "Completion note": item.completion_note,
    }


def _summary(fields: dict[str, list[str]], after: dict[str, str]) -> str:
    if set(fields) <= {"Completed", "Completion note"} and "Completed" in fields:
        return "Completed" if after["Completed"] == "Yes" else "Reopened"
    if set(fields) == {"Assigned to"}:
        return f"Handed over to {after['Assigned to']}"[:200]
    if set(fields) == {"Time"}:
        return "Rescheduled"
    return "Changed"
