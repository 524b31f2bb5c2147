"""The forms by which admins decide about messages of the intake."""

from datetime import datetime
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format

from accounts.models import User
from crm_sync.forms import TablerForm
from email_sync.models import Email, IntakeReview


class ReviewFilter(forms.Form):
    """Which reviews are listed; what makes no sense in an address is ignored."""

    kind = forms.ChoiceField(required=False, choices=[("", "Any kind"), *IntakeReview.Kind.choices])
    tab = forms.ChoiceField(required=False, choices=[("open", "Open"), ("decided", "Decided")])

    def value(self, name: str) -> str:
        self.is_valid()
        return str(self.cleaned_data.get(name, ""))


class CorrectionForm(TablerForm, forms.Form):
    """Who wrote the forwarded mail, and when (in the reader's zone)."""

    sender = forms.EmailField(
        label="Written by",
        help_text="The address of the person who wrote the original.",
        error_messages={
            "required": "Type the address of the person who wrote the original.",
            "invalid": "This is not an email address.",
        },
    )
    date = forms.DateTimeField(
        required=False,
        label="Sent",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"],
        error_messages={"invalid": "This is not a date and time."},
        help_text="Leave it as it is where it was read rightly.",
    )

    @property
    def corrected_date(self) -> datetime | None:
        """None where it stays as it was read."""
        date: datetime | None = self.cleaned_data["date"]
        return date if "date" in self.changed_data else None

    @staticmethod
    def initial_of(extracted: dict[str, Any]) -> dict[str, Any]:
        text = str(extracted.get("date") or "")
        date = parse_datetime(text) if text else None
        if date is not None:
            # The field knows no seconds: with them it would seem to be changed.
            date = date.replace(second=0, microsecond=0)
        return {"sender": extracted.get("from", ""), "date": date}


class OriginalForm(forms.Form):
    """Which stored email was forwarded."""

    NONE = "none"

    original = forms.ChoiceField(
        label="The original is",
        widget=forms.RadioSelect(attrs={"class": "form-check-input"}),
        error_messages={
            "required": "Choose one of them.",
            "invalid_choice": "That email is no longer there.",
        },
    )

    def __init__(self, *args: Any, originals: list[Email], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(str(email.pk), _described(email)) for email in originals]
        field = self.fields["original"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [*choices, (self.NONE, "None of these: it is an email of its own")]

    @property
    def email_id(self) -> int | None:
        chosen = self.cleaned_data["original"]
        return None if chosen == self.NONE else int(chosen)


def _described(email: Email) -> str:
    """Subject, sender and date, of emails that are alike but for the last."""
    senders = [p.address for p in email.participants.all() if p.role == p.Role.FROM]
    date = date_format(timezone.localtime(email.sent_at), "j M Y, H:i")
    return " · ".join((email.subject or "(no subject)", *senders, date))


class AliasForm(TablerForm, forms.Form):
    """Whose address it is that the message was sent from."""

    user = forms.ModelChoiceField(
        User.objects.none(),
        label="This address belongs to",
        empty_label="Choose a user",
        error_messages={"required": "Choose whose address it is."},
    )

    def __init__(self, *args: Any, users: QuerySet[User], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["user"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = users
        field.label_from_instance = _label  # type: ignore[assignment, method-assign]


def _label(user: User) -> str:
    return f"{user.display_name} ({user.email or user.username})"
