"""The rows of this app, by subject."""

from accounts.models.audit import AuditEntry
from accounts.models.customers import Contact, ContactAddress, Customer, MyContact
from accounts.models.mailboxes import Mailbox, MailboxSync, SyncRun
from accounts.models.settings import SystemSetting
from accounts.models.users import ShutterState, User, UserAlias
from accounts.models.webhooks import WebhookCounter, WebhookNotification, WebhookRegistration

__all__ = [
    "AuditEntry",
    "Contact",
    "ContactAddress",
    "Customer",
    "Mailbox",
    "MailboxSync",
    "MyContact",
    "ShutterState",
    "SyncRun",
    "SystemSetting",
    "User",
    "UserAlias",
    "WebhookCounter",
    "WebhookNotification",
    "WebhookRegistration",
]
