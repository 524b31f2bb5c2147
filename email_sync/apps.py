from django.apps import AppConfig


class EmailSyncConfig(AppConfig):
    name = "email_sync"
    verbose_name = "Email sync"

    def ready(self) -> None:
        from accounts.calendar_entries import Kind
        from accounts.calendar_entries import register as register_entries
        from accounts.sections import Section, register, register_profile_panel
        from accounts.signals import mailbox_replaced, notification_received, sync_wanted
        from email_sync.calendar_entries import conversations
        from email_sync.queries import is_section_shown
        from email_sync.receivers import (
            follow_notification,
            forget_what_was_read,
            wake_worker,
        )

        sync_wanted.connect(wake_worker)
        mailbox_replaced.connect(forget_what_was_read)
        notification_received.connect(follow_notification)
        register(
            Section(
                key="emails",
                title="Email Integration",
                customer_url="email_sync:customer-emails",
                contact_url="email_sync:contact-emails",
                is_shown=is_section_shown,
            )
        )
        register_profile_panel("email_sync:progress")
        register_entries(conversations, kinds=[Kind.EMAIL])
