"""The rows of this app, by subject."""

from calendar_sync.models.actions import ActionItem, ActionItemChange, ActionType, Attendee
from calendar_sync.models.calendars import CalendarCursor, EventFailure, EventLink
from calendar_sync.models.feeds import CalendarFeed

__all__ = [
    "ActionItem",
    "ActionItemChange",
    "ActionType",
    "Attendee",
    "CalendarCursor",
    "CalendarFeed",
    "EventFailure",
    "EventLink",
]
