"""The history of an item: one row for each change, with what it overwrote, in people's words."""

from collections.abc import Iterable, Mapping
from datetime import datetime, tzinfo

from accounts.models import User
from calendar_sync.contents import time_of
from calendar_sync.merging import Content
from calendar_sync.models import ActionItem, ActionItemChange
from calendar_sync.rules import describe_time

LABELS = {
    "title": "Short description",
    "time": "Time",
    "location": "Location",
    "note": "Note",
    "card": "Contact in the mail app",
}
_NONE = "–"

Values = dict[str, str]


def values_of(item: ActionItem, zone: tzinfo) -> Values:
    """What a calendar shows of the item, as people read it, by field."""
    return {
        "title": item.title,
        "time": describe_time(time_of(item), zone),
        "location": item.location,
        "note": item.note,
    }


def values_of_content(content: Content, zone: tzinfo) -> Values:
    return {
        "title": content.title,
        "time": describe_time(content.time, zone),
        "location": content.location,
        "note": content.note,
        "card": content.card,
    }


def changed(before: Values, after: Values, names: Iterable[str]) -> dict[str, list[str]]:
    """{label: [before, after]} of these fields, as far as they differ."""
    return {
        LABELS[name]: [before.get(name, "") or _NONE, after.get(name, "") or _NONE]
        for name in names
        if before.get(name, "") != after.get(name, "")
    }


def row(
    item: ActionItem,
    summary: str,
    *,
    at: datetime,
    by: User | None = None,
    is_from_mail_app: bool = False,
    fields: Mapping[str, list[str]] | None = None,
) -> ActionItemChange:
    """A row of the history, not yet stored."""
    origin = ActionItemChange.Origin.CALENDAR if is_from_mail_app else ActionItemChange.Origin.CRM
    return ActionItemChange(
        item=item, at=at, origin=origin, user=by, summary=summary, fields=dict(fields or {})
    )
