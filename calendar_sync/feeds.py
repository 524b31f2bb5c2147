"""The .ics feed: a user's to-dos and appointments at a secret address, for any calendar program.

Made of rows alone, so that the same rows give the same bytes: a reader asks whether anything has
changed, and is told “no” without a body.
"""

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from icalendar import Calendar, Event, vUri

from accounts.models import User
from calendar_sync.entries import shown_title, with_customer_name
from calendar_sync.models import ActionItem, CalendarFeed

PAST, AHEAD = timedelta(days=90), timedelta(days=400)
#: How seldom a program needs to ask.
REFRESH = timedelta(minutes=15)


# --- the address ---------------------------------------------------------------------------------
def make_feed(user: User) -> CalendarFeed:
    """A new secret address; the former one no longer works."""
    secret = secrets.token_urlsafe(32)
    feed, _ = CalendarFeed.objects.update_or_create(
        user=user, defaults={"secret": secret, "digest": digest(secret), "read_at": None}
    )
    return feed


def find_feed(secret: str) -> CalendarFeed | None:
    """The feed with that secret, of a user who may still sign in."""
    feeds = CalendarFeed.objects.select_related("user").filter(user__is_active=True)
    return feeds.filter(digest=digest(secret)).first()


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def note_reading(feed: CalendarFeed, body: bytes, *, now: datetime) -> None:
    """Remember when the feed was read, and since when it says what it says now."""
    content = hashlib.sha256(body).hexdigest()
    if content != feed.content_digest:
        feed.content_digest, feed.changed_at = content, now.replace(microsecond=0)
    feed.read_at = now
    feed.save(update_fields=["content_digest", "changed_at", "read_at"])


# --- the content ---------------------------------------------------------------------------------
def items_of(user: User, *, now: datetime) -> list[ActionItem]:
    """What is in the feed, in a stable order."""
    items = ActionItem.objects.visible().filter(owner=user)
    return list(with_customer_name(items.overlapping(now - PAST, now + AHEAD)).order_by("pk"))


def calendar(items: Iterable[ActionItem], *, name: str) -> bytes:
    """The items as an iCalendar file (RFC 5545)."""
    made = Calendar()
    made.add("prodid", "-//CRM//Calendar feed//EN")
    made.add("version", "2.0")
    made.add("method", "PUBLISH")
    made.add("x-wr-calname", name)
    made.add("refresh-interval", REFRESH, parameters={"VALUE": "DURATION"})
    for item in items:
        made.add_component(_event(item))
    return bytes(made.to_ical())


def _event(item: ActionItem) -> Event:
    event = Event()
    event.add("uid", f"action-{item.pk}@{_host()}")
    event.add("dtstamp", item.changed_at)
    event.add("last-modified", item.changed_at)
    _add_time(event, item)
    event.add("summary", shown_title(item))
    event.add("status", "CANCELLED" if item.cancelled_at else "CONFIRMED")
    if item.is_private:
        event.add("class", "PRIVATE")
        return event
    if item.location:
        event.add("location", item.location)
    if description := _description(item):
        event.add("description", description)
    event.add("categories", [item.type.name])
    event.add("url", vUri(settings.PUBLIC_URL + item.get_absolute_url()))
    return event


def _add_time(event: Event, item: ActionItem) -> None:
    if item.all_day:
        event.add("dtstart", item.first_day)
        event.add("dtend", item.last_day + timedelta(days=1))
        event.add("transp", "TRANSPARENT")
        return
    event.add("dtstart", item.starts_at)
    if item.ends_at > item.starts_at:
        event.add("dtend", item.ends_at)


def _description(item: ActionItem) -> str:
    customer = getattr(item, "customer_name", "") or ""
    lines = [
        "Completed." if item.completed_at else "",
        f"Customer: {customer}" if customer else "",
        item.note,
    ]
    return "\n".join(filter(None, lines))


def _host() -> str:
    return settings.PUBLIC_URL.partition("://")[2].partition(":")[0]
