"""The rows of this app in Django's admin site: for looking things up, never for reading mail.

Lists and searches leave out the text of emails; the ledger and its counts are read-only.
"""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from email_sync.models import (
    CoverageCheck,
    DailyCount,
    Email,
    EmailContact,
    EmailParticipant,
    Exclusion,
    FolderCoverage,
    FolderCursor,
    IntakeConnection,
    IntakeReview,
    IntakeRun,
    LedgerAddress,
    LedgerEntry,
    TrustedSender,
)


class ReadOnlyMixin:
    """Rows that only the sync writes; changing them by hand would break what they prove."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ParticipantInline(ReadOnlyMixin, admin.TabularInline):  # type: ignore[type-arg]
    model = EmailParticipant
    fields = ("role", "name", "address")


class LinkInline(admin.TabularInline):  # type: ignore[type-arg]
    model = EmailContact
    raw_id_fields = ("contact",)
    extra = 0


@admin.register(Email)
class EmailAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("pk", "user", "direction", "subject", "sent_at", "stored_at", "hidden_at")
    list_filter = ("direction", "hidden_at")
    list_select_related = ("user",)
    search_fields = ("subject", "message_id", "user__username", "participants__address")
    date_hierarchy = "sent_at"
    show_full_result_count = False
    inlines = (ParticipantInline, LinkInline)
    # Reading an email goes through its own page, where the access rules and the sandbox are.
    exclude = ("body_text", "body_html")
    readonly_fields = (
        "user",
        "message_key",
        "message_id",
        "thread_key",
        "direction",
        "subject",
        "sent_at",
        "attachments",
        "stored_at",
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer("body_text", "body_html")


@admin.register(EmailParticipant)
class EmailParticipantAdmin(ReadOnlyMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("address", "name", "role", "email")
    list_filter = ("role",)
    search_fields = ("address", "name")
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> Any:
        found = super().get_queryset(request).select_related("email")
        return found.defer("email__body_text", "email__body_html")


@admin.register(EmailContact)
class EmailContactAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("email", "contact")
    search_fields = ("contact__last_name", "contact__first_name", "contact__customer__name")
    raw_id_fields = ("email", "contact")
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> Any:
        found = super().get_queryset(request).select_related("email", "contact")
        return found.defer("email__body_text", "email__body_html")


@admin.register(FolderCursor)
class FolderCursorAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("mailbox", "name", "read_up_to", "backfilled_at", "seen", "oldest_seen")
    list_filter = ("backfilled_at",)
    list_select_related = ("mailbox",)
    search_fields = ("name", "mailbox__address", "mailbox__user__username")
    raw_id_fields = ("mailbox",)


@admin.register(LedgerEntry)
class LedgerEntryAdmin(ReadOnlyMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = (
        "processed_at",
        "user",
        "source",
        "direction",
        "outcome",
        "reason",
        "from_address",
        "subject",
    )
    list_filter = ("outcome", "reason", "source", "direction")
    list_select_related = ("user",)
    search_fields = ("subject", "from_address", "message_id", "user__username")
    # By key: it has an index that serves the whole table, and it is nearly the order of time.
    ordering = ("-pk",)
    show_full_result_count = False


@admin.register(DailyCount)
class DailyCountAdmin(ReadOnlyMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("day", "user", "source", "outcome", "count")
    list_filter = ("source", "outcome", "day")
    list_select_related = ("user",)
    search_fields = ("user__username", "user__last_name")
    date_hierarchy = "day"
    ordering = ("-day", "user")


@admin.register(FolderCoverage)
class FolderCoverageAdmin(ReadOnlyMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("mailbox", "name", "day", "in_mailbox", "in_ledger", "checked_at")
    list_select_related = ("mailbox",)
    search_fields = ("name", "mailbox__address", "mailbox__user__username")
    date_hierarchy = "day"
    ordering = ("mailbox", "name", "-day")


@admin.register(CoverageCheck)
class CoverageCheckAdmin(ReadOnlyMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("mailbox", "queued_at", "tried_at", "finished_at")
    list_select_related = ("mailbox",)
    search_fields = ("mailbox__address", "mailbox__user__username")


@admin.register(Exclusion)
class ExclusionAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("value", "kind", "user", "created_at")
    list_filter = ("kind",)
    list_select_related = ("user",)
    search_fields = ("value", "user__username")
    raw_id_fields = ("user",)


@admin.register(LedgerAddress)
class LedgerAddressAdmin(ReadOnlyMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("address", "domain", "entry")
    list_select_related = ("entry",)
    search_fields = ("=address", "=domain")
    show_full_result_count = False


@admin.register(IntakeConnection)
class IntakeConnectionAdmin(ReadOnlyMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("name", "address", "is_selected", "authorised_at", "last_success_at", "failure")
    list_filter = ("is_selected",)
    search_fields = ("name", "description", "address")
    # The secrets are shown nowhere.
    exclude = ("client_secret", "refresh_token")


@admin.register(IntakeRun)
class IntakeRunAdmin(ReadOnlyMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = (
        "started_at", "sync", "outcome", "passes", "seen", "matched", "unmatched", "failed",
    )  # fmt: skip
    list_filter = ("outcome",)
    list_select_related = ("sync",)
    search_fields = ("sync__name", "failure_code", "failure_text")


@admin.register(IntakeReview)
class IntakeReviewAdmin(ReadOnlyMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("created_at", "kind", "decision", "decided_at", "decided_by")
    list_filter = ("kind", "decision")
    list_select_related = ("decided_by",)
    search_fields = ("entry__from_address", "entry__subject", "entry__message_id")


@admin.register(TrustedSender)
class TrustedSenderAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("address", "user", "trusted_by", "trusted_at")
    list_select_related = ("user", "trusted_by")
    search_fields = ("address", "user__username")
    raw_id_fields = ("user", "trusted_by")
