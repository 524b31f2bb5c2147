"""The audit list: who looked at other people's mail, exported, or changed how the CRM works."""

from datetime import datetime
from typing import Any, NoReturn

from django.db import models
from django.db.models.functions import Now

from accounts.models.users import User


class AuditQuerySet(models.QuerySet["AuditEntry"]):
    """Append-only: what was written is neither changed nor deleted by the product."""

    def update(self, **kwargs: Any) -> NoReturn:
        raise TypeError("The audit list is append-only.")

    def delete(self) -> NoReturn:
        raise TypeError("The audit list is append-only.")

    def between(self, start: datetime | None, end: datetime | None) -> "AuditQuerySet":
        """Entries from `start` on and before `end`; None is open."""
        entries = self.filter(at__gte=start) if start else self
        return entries.filter(at__lt=end) if end else entries


class AuditEntry(models.Model):
    """One thing that somebody did. Written by `accounts.audit.record`, in the same transaction.

    The names are kept as they were, so that the entry still says who and whose when the rows are
    gone. `about` says what in words, without subjects, addresses of strangers or text of mail.
    """

    class Action(models.TextChoices):
        OPENED_EMAIL = "opened-email", "Opened another person's email"
        OPENED_HISTORY = "opened-history", "Opened another person's history"
        EXPORTED = "exported", "Exported"
        CHANGED_SETTING = "changed-setting", "Changed a setting"
        CHANGED_EXCLUSIONS = "changed-exclusions", "Changed what is never logged"
        CHANGED_CONNECTION = "changed-connection", "Changed a connection"
        DECIDED_REVIEW = "decided-review", "Decided about a message of the intake"
        TRUSTED_SENDER = "trusted-sender", "Trusted a sender"
        REMATCHED = "re-matched", "Matched mail again"
        DELETED_EMAIL = "deleted-email", "Deleted an email in the CRM"
        RELEASED_BRAKE = "released-brake", "Decided about held deletions"
        CONTROLLED_SYNC = "controlled-sync", "Restarted or paused a mailbox"

    at = models.DateTimeField(db_default=Now(), db_index=True)
    action = models.CharField(max_length=30, choices=Action.choices)
    #: Nobody for what was done at the command line.
    actor = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.DO_NOTHING, db_constraint=False,
        related_name="+",
    )  # fmt: skip
    actor_name = models.CharField(max_length=200)
    #: Whose mailbox, mail or settings it was about, if anybody's.
    owner = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.DO_NOTHING, db_constraint=False,
        related_name="+",
    )  # fmt: skip
    owner_name = models.CharField(max_length=200, blank=True)
    about = models.CharField(max_length=300)

    objects = AuditQuerySet.as_manager()

    class Meta:
        ordering = ("-at", "-pk")
        verbose_name_plural = "audit entries"
        indexes = (
            models.Index(fields=("actor", "-at")),
            models.Index(fields=("owner", "-at")),
            models.Index(fields=("action", "-at")),
        )

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("The audit list is append-only.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("The audit list is append-only.")

    def __str__(self) -> str:
        return f"{self.actor_name}: {self.get_action_display()}"
