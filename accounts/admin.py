"""Django's own admin site: every row of this app. Grants are never shown."""

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.http import HttpRequest

from accounts.models import (
    AuditEntry,
    Contact,
    ContactAddress,
    Customer,
    Mailbox,
    MailboxSync,
    MyContact,
    ShutterState,
    SyncRun,
    SystemSetting,
    User,
    UserAlias,
    WebhookCounter,
    WebhookNotification,
    WebhookRegistration,
)
from accounts.outcomes import state_of

admin.site.site_header = admin.site.site_title = "CRM administration"
admin.site.index_title = "All records"


class AliasInline(admin.TabularInline):  # type: ignore[type-arg]
    model = UserAlias
    extra = 0


@admin.register(User)
class UserAdmin(DjangoUserAdmin):  # type: ignore[type-arg]
    list_display = ("username", "display_name", "email", "role", "manager", "is_active")
    list_filter = ("role", "is_active")
    list_select_related = ("manager",)
    search_fields = ("username", "first_name", "last_name", "email", "aliases__address")
    autocomplete_fields = ("manager",)
    inlines = (AliasInline,)
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email", "time_zone")}),
        ("Role", {"fields": ("role", "manager", "is_active", "is_superuser")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = (
        (
            None,
            {
                "classes": ("wide",),
                "fields": (
                    "username",
                    "first_name",
                    "last_name",
                    "email",
                    "role",
                    "manager",
                    "time_zone",
                    "password1",
                    "password2",
                ),
            },
        ),
    )


@admin.register(UserAlias)
class UserAliasAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("address", "user")
    list_select_related = ("user",)
    search_fields = ("address", "user__username", "user__last_name")
    autocomplete_fields = ("user",)


@admin.register(Customer)
class CustomerAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("number", "name", "status", "division", "account_manager")
    list_display_links = ("number", "name")
    list_filter = ("status", "division")
    list_select_related = ("account_manager",)
    search_fields = ("number", "name")
    autocomplete_fields = ("account_manager",)


class AddressInline(admin.TabularInline):  # type: ignore[type-arg]
    model = ContactAddress
    extra = 1


@admin.register(Contact)
class ContactAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("name", "customer", "phone")
    list_select_related = ("customer",)
    search_fields = ("first_name", "last_name", "addresses__address", "customer__name")
    autocomplete_fields = ("customer",)
    inlines = (AddressInline,)


@admin.register(ContactAddress)
class ContactAddressAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("address", "contact", "customer")
    list_select_related = ("contact__customer",)
    search_fields = ("address", "contact__last_name", "contact__customer__name")
    autocomplete_fields = ("contact",)

    @admin.display(ordering="contact__customer__name")
    def customer(self, row: ContactAddress) -> Customer:
        return row.contact.customer


@admin.register(MyContact)
class MyContactAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("user", "contact", "customer", "since")
    list_select_related = ("user", "contact__customer")
    search_fields = ("user__username", "user__last_name", "contact__last_name")
    autocomplete_fields = ("user", "contact")
    date_hierarchy = "since"

    @admin.display(ordering="contact__customer__name")
    def customer(self, row: MyContact) -> Customer:
        return row.contact.customer


@admin.register(Mailbox)
class MailboxAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Settings may be changed here; authorising is the user's own (Profile, Email Integration)."""

    list_display = (
        "user",
        "address",
        "provider",
        "email_enabled",
        "calendar_enabled",
        "authorised_address",
        "authorised_at",
        "rejected_at",
    )
    list_filter = ("provider", "email_enabled", "calendar_enabled")
    list_select_related = ("user",)
    search_fields = ("address", "authorised_address", "user__username", "user__last_name")
    autocomplete_fields = ("user",)
    readonly_fields = ("authorised_address", "authorised_at", "rejected_at", "rejection")


@admin.register(MailboxSync)
class MailboxSyncAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Evidence, lease and schedule belong to the workers: they are shown, not changed."""

    list_display = ("mailbox", "kind", "state", "last_success_at", "next_due_at", "failure_code")
    list_filter = ("kind", "failure", "failure_code")
    list_select_related = ("mailbox__user",)
    search_fields = ("mailbox__address", "mailbox__user__username", "failure_text")

    @admin.display
    def state(self, row: MailboxSync) -> str:
        return state_of(row)

    def get_readonly_fields(
        self, request: HttpRequest, obj: MailboxSync | None = None
    ) -> list[str]:
        return [field.name for field in MailboxSync._meta.fields]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@admin.register(SyncRun)
class SyncRunAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = (
        "sync",
        "started_at",
        "finished_at",
        "outcome",
        "passes",
        "seen",
        "matched",
        "unmatched",
        "failed",
        "failure_code",
    )
    list_filter = ("outcome", "sync__kind", "failure_code")
    list_select_related = ("sync__mailbox__user",)
    search_fields = ("sync__mailbox__address", "sync__mailbox__user__username", "failure_text")
    date_hierarchy = "started_at"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: SyncRun | None = None) -> bool:
        return False


@admin.register(SystemSetting)
class SystemSettingAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Only what was changed has a row; the Sync settings page explains and checks every value."""

    list_display = ("name", "value", "changed_at")
    search_fields = ("name",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: SystemSetting | None = None) -> bool:
        return False


@admin.register(ShutterState)
class ShutterStateAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("user", "section")
    list_filter = ("section",)
    list_select_related = ("user",)
    search_fields = ("user__username", "user__last_name", "section")
    autocomplete_fields = ("user",)


class _ShownOnly(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that only the code writes."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(WebhookRegistration)
class WebhookRegistrationAdmin(_ShownOnly):
    """The secret is never shown; `manage.py webhook` makes and rotates it."""

    list_display = ("nylas_id", "created_at", "retired_at")
    search_fields = ("nylas_id",)


@admin.register(WebhookNotification)
class WebhookNotificationAdmin(_ShownOnly):
    list_display = ("notification_id", "type", "received_at")
    list_filter = ("type",)
    search_fields = ("notification_id",)
    date_hierarchy = "received_at"


@admin.register(WebhookCounter)
class WebhookCounterAdmin(_ShownOnly):
    list_display = ("day", "name", "count")
    list_filter = ("name",)
    date_hierarchy = "day"


@admin.register(AuditEntry)
class AuditEntryAdmin(_ShownOnly):
    """Append-only here as everywhere."""

    list_display = ("at", "actor_name", "action", "owner_name", "about")
    list_filter = ("action",)
    search_fields = ("actor_name", "owner_name", "about")
    date_hierarchy = "at"

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False
