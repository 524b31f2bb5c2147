"""The intake: a monitored Gmail mailbox to which reps BCC or forward, and what people decide."""

from datetime import datetime

from django.db import models

from accounts.addresses import MAX_ADDRESS_LENGTH, normalise
from accounts.models import User
from accounts.models.mailboxes import Run, Schedule
from crm_sync.fields import EncryptedTextField
from crm_sync.providers.types import IntakeCredentials


class IntakeConnectionQuerySet(models.QuerySet["IntakeConnection"]):
    def selected(self) -> "IntakeConnectionQuerySet":
        """The one that is read (at most one), if it is authorised."""
        return self.filter(is_selected=True).exclude(address="")

    def due(self, now: datetime) -> "IntakeConnectionQuerySet":
        return self.selected().filter(next_due_at__lte=now, rejected_at=None, stopped_at=None)


class IntakeConnection(Schedule):
    """Leave to read one Gmail mailbox, and how far it has been read.

    `name` is what the screens call ID. `address` is whose mailbox Google said it is; "" until it is
    authorised. `history_id` is Gmail's mark: everything up to it has been read; it is saved in the
    transaction that stores what was read. At most one connection is read (`is_selected`).
    """

    name = models.CharField("ID", max_length=60, unique=True)
    description = models.CharField(max_length=200, blank=True)
    client_id = models.CharField("client ID", max_length=300, blank=True)
    client_secret = EncryptedTextField(blank=True, editable=False)
    refresh_token = EncryptedTextField(blank=True, editable=False)
    #: Whose mailbox the admin means; consent for another one is refused. "" for any.
    expected_address = models.CharField(max_length=MAX_ADDRESS_LENGTH, blank=True)
    address = models.CharField(max_length=MAX_ADDRESS_LENGTH, blank=True, editable=False)
    authorised_at = models.DateTimeField(null=True, blank=True, editable=False)
    authorised_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    #: When Google last refused the refresh token; empty while it is accepted.
    rejected_at = models.DateTimeField(null=True, blank=True, editable=False)
    rejection = models.CharField(max_length=300, blank=True, editable=False)
    is_selected = models.BooleanField("in use", default=False)

    history_id = models.CharField(max_length=40, blank=True, editable=False)
    #: Gmail ids of stored messages that do not carry the label yet, and why the last try failed.
    unlabelled = models.JSONField(default=list, blank=True, editable=False)
    label_failure = models.CharField(max_length=300, blank=True, editable=False)

    objects = IntakeConnectionQuerySet.as_manager()

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(
                fields=("is_selected",),
                condition=models.Q(is_selected=True),
                name="one_connection_selected",
            ),
        )

    def save(self, *args: object, **kwargs: object) -> None:
        self.expected_address = normalise(self.expected_address)
        super().save(*args, **kwargs)  # type: ignore[arg-type]

    @property
    def is_authorised(self) -> bool:
        return bool(self.address)

    @property
    def credentials(self) -> IntakeCredentials:
        return IntakeCredentials(
            client_id=self.client_id,
            client_secret=self.client_secret,
            refresh_token=self.refresh_token,
        )

    def __str__(self) -> str:
        return self.name


class IntakeRun(Run):
    """A pass over the monitored mailbox."""

    sync = models.ForeignKey(IntakeConnection, on_delete=models.CASCADE, related_name="runs")

    class Meta(Run.Meta):
        indexes = (models.Index(fields=("sync", "-started_at")),)


class TrustedSender(models.Model):
    """An address of a user whose mail is taken for theirs although nothing proves it.

    For an alias whose mail always fails Gmail's checks (intake sheet, rule 5).
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="trusted_senders")
    address = models.CharField(max_length=MAX_ADDRESS_LENGTH, unique=True)
    trusted_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    trusted_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("address",)

    def save(self, *args: object, **kwargs: object) -> None:
        self.address = normalise(self.address)
        super().save(*args, **kwargs)  # type: ignore[arg-type]

    def __str__(self) -> str:
        return self.address


class IntakeReviewQuerySet(models.QuerySet["IntakeReview"]):
    def open(self) -> "IntakeReviewQuerySet":
        return self.filter(decided_at=None)

    def empty(self, *, now: datetime) -> None:
        """Forget what was read of the messages; nobody can decide about them any more."""
        self.open().update(decision=IntakeReview.Decision.DISMISSED, decided_at=now)
        self.update(extracted={}, correction={})


class IntakeReview(models.Model):
    """A question about a message of the intake that a person must answer, once.

    Holds no text: what was extracted are addresses, subject and date (`extracted`), and the message
    itself stays in Gmail, from where it is read again after the decision. One answer may lead to
    the next question: a sender was approved, and now the forward is not understood.
    """

    class Kind(models.TextChoices):
        SENDER = "sender", "Sender not proved"
        UNREGISTERED = "unregistered", "Sender not registered"
        FORWARD = "forward", "Forward not understood"
        DUPLICATE = "duplicate", "Several emails could be the original"

    class Decision(models.TextChoices):
        APPROVED = "approved", "Approved"
        TRUSTED = "trusted", "Approved, and trusted from now on"
        CORRECTED = "corrected", "Corrected"
        CHOSEN = "chosen", "Original chosen"
        TRIED_AGAIN = "tried-again", "Tried again"
        DISMISSED = "dismissed", "Dismissed"

    entry = models.ForeignKey(
        "email_sync.LedgerEntry", on_delete=models.CASCADE, related_name="reviews"
    )
    kind = models.CharField(max_length=20, choices=Kind.choices)
    #: What was read: {"from", "name", "to", "cc", "subject", "date"}, of a forward's original also
    #: {"date_text", "method"}, and the {"emails"} (keys) that it could be.
    extracted = models.JSONField(default=dict, blank=True)
    #: How sure the reading is, 0 to 1.
    confidence = models.FloatField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    decision = models.CharField(max_length=20, choices=Decision.choices, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    #: What a person put right: {"from", "date"}, read instead of what was extracted, or {"email"}.
    correction = models.JSONField(default=dict, blank=True)

    objects = IntakeReviewQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "-pk")
        constraints = (
            models.UniqueConstraint(
                fields=("entry",),
                condition=models.Q(decided_at=None),
                name="one_open_review_of_an_entry",
            ),
        )
        indexes = (
            models.Index(
                fields=("-created_at",),
                condition=models.Q(decided_at=None),
                name="review_open",
            ),
        )

    def __str__(self) -> str:
        return f"{self.get_kind_display()} ({self.decision or 'open'})"
