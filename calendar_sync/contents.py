"""Items and events as `merging.Content`: the one form in which both sides are compared."""

from datetime import datetime
from zoneinfo import ZoneInfo

from calendar_sync import descriptions
from calendar_sync.descriptions import LONGEST_LOCATION, LONGEST_TITLE, UNTITLED, one_line
from calendar_sync.merging import Content
from calendar_sync.models import ActionItem
from calendar_sync.models.actions import midnight
from crm_sync.providers.types import Event, EventTime


def time_of(item: ActionItem) -> EventTime:
    """When the item is, with its own zone."""
    if item.all_day:
        return EventTime(first_day=item.first_day, last_day=item.last_day)
    return EventTime(item.starts_at, item.ends_at, time_zone=item.time_zone)


def set_time(item: ActionItem, when: EventTime) -> None:
    """An end before the start counts as the start."""
    if when.first_day is not None:
        item.all_day = True
        item.starts_at = midnight(when.first_day)
        item.ends_at = max(item.starts_at, midnight(when.last_day or when.first_day))
    elif when.starts_at is not None:
        item.all_day = False
        item.starts_at = when.starts_at
        item.ends_at = max(when.starts_at, when.ends_at or when.starts_at)
    item.time_zone = when.time_zone[:64]


def content_of(item: ActionItem) -> Content:
    """What the owner's calendar should show of an item, as far as an event can hold it. Reads its
    contact and customer."""
    contact, customer = item.contact, item.customer
    card = descriptions.card_of(
        contact=contact.name if contact else "",
        customer=str(customer or (contact.customer if contact else "")),
        phone=contact.phone if contact else "",
        addresses=[row.address for row in contact.addresses.all()] if contact else [],
    )
    return Content(
        title=item.title,
        time=time_of(item),
        location=item.location[: descriptions.LONGEST_LOCATION_THERE],
        note=descriptions.note_that_fits(item.note, card),
        card=card,
    )


def content_of_event(event: Event) -> Content:
    """What an event of our own making shows now. It must have a time."""
    assert event.time is not None
    note, card = descriptions.split(event.description)
    return Content(
        title=one_line(event.title)[:LONGEST_TITLE],
        time=event.time,
        location=one_line(event.location)[:LONGEST_LOCATION],
        note=note,
        card=card,
    )


def take(item: ActionItem, name: str, content: Content) -> None:
    """Put one field of an event into the item."""
    if name == "time":
        set_time(item, content.time)
    elif name == "title":
        item.title = content.title or UNTITLED
    else:
        setattr(item, name, getattr(content, name))


def outgoing_time(item: ActionItem, zone: ZoneInfo) -> EventTime:
    """As it is written into the owner's calendar: in whole seconds and the owner's zone."""
    if item.all_day:
        return time_of(item)
    return EventTime(_whole(item.starts_at), _whole(item.ends_at), time_zone=zone.key)


def _whole(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)
