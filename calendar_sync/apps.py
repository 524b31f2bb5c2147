from django.apps import AppConfig


class CalendarSyncConfig(AppConfig):
    name = "calendar_sync"
    verbose_name = "Calendar"

    def ready(self) -> None:
        from accounts.signals import mailbox_replaced, notification_received, sync_wanted
        from calendar_sync.receivers import follow_notification, forget_calendar, wake_worker
        from calendar_sync.screens import register_screens

        sync_wanted.connect(wake_worker)
        mailbox_replaced.connect(forget_calendar)
        notification_received.connect(follow_notification)
        register_screens()
