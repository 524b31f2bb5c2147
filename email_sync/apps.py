from django.apps import AppConfig


class EmailSyncConfig(AppConfig):
    name = "email_sync"
    verbose_name = "Email sync"

    def ready(self) -> None:
        from accounts.signals import sync_wanted
        from email_sync.receivers import wake_worker

        sync_wanted.connect(wake_worker)
