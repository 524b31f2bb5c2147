"""Coverage: how many of a mailbox's messages the ledger has, by folder and day, as last counted."""

from datetime import datetime, timedelta

from django.db import models

from accounts.models import Mailbox

#: How long a count holds, and how long a try that counted less than everything is left alone.
COUNTED_FOR = timedelta(hours=20)
TRIED_FOR = timedelta(hours=2)


class CoverageCheckQuerySet(models.QuerySet["CoverageCheck"]):
    def due(self, now: datetime) -> "CoverageCheckQuerySet":
        """Those whose last complete count, and whose last try, are old enough."""
        return self.filter(
            models.Q(finished_at=None) | models.Q(finished_at__lte=now - COUNTED_FOR),
            models.Q(tried_at=None) | models.Q(tried_at__lte=now - TRIED_FOR),
        )


class CoverageCheck(models.Model):
    """When a mailbox was last compared with the ledger, and what could not be.

    `finished_at` is the start of the last check that listed every folder to its end; `problems` are
    the last try's, whether it finished or not: a list of {"name", "cause"}.
    """

    mailbox = models.OneToOneField(Mailbox, on_delete=models.CASCADE, related_name="coverage_check")
    #: When the dispatcher last put it on the queue; empty again when a worker took it.
    queued_at = models.DateTimeField(null=True, blank=True)
    tried_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    problems = models.JSONField(default=list, blank=True)

    objects = CoverageCheckQuerySet.as_manager()

    def __str__(self) -> str:
        return f"coverage of {self.mailbox}"


class FolderCoverage(models.Model):
    """The messages of one folder dated on one UTC day, and how many of them the ledger has.

    A day without messages has no row. The rows of a folder are replaced together, when it was
    listed to its end: a check that failed leaves the former figures with their date.
    """

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="coverage")
    folder_id = models.CharField(max_length=500)
    name = models.CharField(max_length=500)
    #: Empty for messages that have no usable date.
    day = models.DateField(null=True, blank=True)
    in_mailbox = models.PositiveIntegerField()
    in_ledger = models.PositiveIntegerField()
    checked_at = models.DateTimeField()

    class Meta:
        ordering = ("name", "day")
        verbose_name_plural = "folder coverage"
        constraints = (
            models.UniqueConstraint(
                fields=("mailbox", "folder_id", "day"), name="coverage_once_per_day"
            ),
            models.UniqueConstraint(
                fields=("mailbox", "folder_id"),
                condition=models.Q(day=None),
                name="coverage_once_without_day",
            ),
        )

    @property
    def missing(self) -> int:
        return self.in_mailbox - self.in_ledger

    def __str__(self) -> str:
        return f"{self.name}, {self.day or 'no date'}: {self.in_ledger} of {self.in_mailbox}"
