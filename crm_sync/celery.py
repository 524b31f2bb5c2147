"""The Celery application. Tasks live in each app's `tasks.py`; beat only lists what is due."""

import os

from celery import Celery
from celery.schedules import crontab
from celery.signals import worker_process_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm_sync.settings")

app = Celery("crm_sync")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.conf.beat_schedule = {
    "dispatch due mailboxes": {"task": "email_sync.dispatch_due", "schedule": 10.0},
    "dispatch due calendars": {"task": "calendar_sync.dispatch_due", "schedule": 10.0},
    "dispatch the due intake": {"task": "email_sync.dispatch_intake", "schedule": 10.0},
    "expire old ledger entries": {"task": "email_sync.expire_ledger", "schedule": 3600.0},
    "forget old notifications": {
        "task": "email_sync.forget_notifications",
        "schedule": crontab(hour=3, minute=17),
    },
    # At night (UTC), a few mailboxes at a time.
    "check coverage": {
        "task": "email_sync.dispatch_checks",
        "schedule": crontab(minute="*/5", hour="0-5"),
    },
}


@worker_process_init.connect
def die_with_the_worker(**kwargs: object) -> None:
    """A pool process of a killed worker would else go on beside the worker's successor."""
    from crm_sync.processes import die_with_parent

    die_with_parent()
