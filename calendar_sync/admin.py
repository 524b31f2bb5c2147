"""The rows of this app in Django's admin site: for looking things up.

To-dos are changed on their own pages, where each change has its line of history and reaches the
calendars; here everything is read-only, and secrets are left out.
"""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from calendar_sync.models import (
    ActionItem,
    ActionItemChange,
    Attendee,
    CalendarCursor,
    CalendarFeed,
    EventFailure,
    EventLink,
)


class ReadOnlyMixin:
    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class AttendeeInline(ReadOnlyMixin, admin.TabularInline):  # type: ignore[type-arg]
    model = Attendee
    fields = ("name", "address", "status", "is_organiser")


class LinkInline(ReadOnlyMixin, admin.TabularInline):  # type: ignore[type-arg]
    model = EventLink
    fields = ("mailbox", "event_id", "is_leaving", "attempts", "failure")


class ChangeInline(ReadOnlyMixin, admin.TabularInline):  # type: ignore[type-arg]
    model = ActionItemChange
    fields = ("at", "origin", "user", "summary", "fields")


@admin.register(ActionItem)
class ActionItemAdmin(ReadOnlyMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("pk", "owner", "type", "origin", "title", "starts_at", "sync", "deleted_at")
    list_filter = ("origin", "sync", "type")
    list_select_related = ("owner", "type")
    search_fields = ("title", "owner__username", "customer__name", "ical_uid")
    date_hierarchy = "starts_at"
    show_full_result_count = False
    inlines = (AttendeeInline, LinkInline, ChangeInline)


@admin.register(CalendarCursor)
class CalendarCursorAdmin(ReadOnlyMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("mailbox", "name", "is_read_only", "read_up_to", "listed_at", "held_at")
    list_filter = ("is_read_only",)
    list_select_related = ("mailbox",)
    search_fields = ("name", "mailbox__address", "mailbox__user__username")


@admin.register(EventFailure)
class EventFailureAdmin(ReadOnlyMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("failed_at", "mailbox", "event_id", "cause")
    list_select_related = ("mailbox",)
    search_fields = ("event_id", "mailbox__address", "mailbox__user__username")


@admin.register(CalendarFeed)
class CalendarFeedAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """An admin can revoke one by deleting it, and never sees its address."""

    list_display = ("user", "created_at", "read_at")
    list_select_related = ("user",)
    search_fields = ("user__username", "user__last_name")
    fields = ("user", "created_at", "read_at")
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False
