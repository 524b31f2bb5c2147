"""The rows of this app, by subject."""

from accounts.models.customers import Contact, ContactAddress, Customer, MyContact
from accounts.models.mailboxes import Mailbox, MailboxSync, SyncRun
from accounts.models.settings import SystemSetting
from accounts.models.users import ShutterState, User, UserAlias

__all__ = [
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
]
