"""Filters of the monitor's lists, and the settings. They validate and convert; they do not act."""

from datetime import date
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator

from accounts import system_settings
from accounts.rules import State
from accounts.system_settings import LIMITS, MEANINGS, BadSetting, Settings
from email_sync.models import LedgerEntry, Source
from monitor.queries import SORTS, Group, Narrowing

Outcome = LedgerEntry.Outcome
Reason = LedgerEntry.Reason

#: Below this many minutes passes bog down the mail server and each other (seed 001).
COMFORTABLE_INTERVAL = 5


class MailboxFilter(forms.Form):
    """The line of filters above the mailboxes; what makes no sense in an address is ignored."""

    text = forms.CharField(required=False)
    state = forms.ChoiceField(
        required=False, choices=[(state.value, state.value) for state in State]
    )
    group = forms.ChoiceField(
        required=False, choices=[(group.value, group.label) for group in Group]
    )
    sort = forms.ChoiceField(
        required=False, choices=[(sign + key, key) for key in SORTS for sign in ("", "-")]
    )

    def value(self, name: str) -> str:
        self.is_valid()
        return str(self.cleaned_data.get(name, ""))

    @property
    def is_narrowing(self) -> bool:
        return any(self.value(name) for name in ("text", "state", "group"))


def _day() -> forms.DateField:
    """A day on which mail can have been sent; far beyond, time zones lead out of the calendar."""
    words = "This is not a date."
    return forms.DateField(
        required=False,
        error_messages={"invalid": words},
        validators=[
            MinValueValidator(date(1970, 1, 1), words),
            MaxValueValidator(date(2999, 12, 31), words),
        ],
    )


class HistoryFilter(forms.Form):
    """The line of filters above a history. A bad date is named and otherwise ignored."""

    text = forms.CharField(required=False)
    since = _day()
    until = _day()
    source = forms.ChoiceField(required=False, choices=[("", "Any source"), *Source.choices])
    reason = forms.ChoiceField(required=False)

    def __init__(self, *args: Any, outcome: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.reasons = reasons_of(outcome)
        choices = [("", "Any reason"), *self.reasons]
        self.fields["reason"] = forms.ChoiceField(required=False, choices=choices)

    def narrowing(self) -> Narrowing:
        """The filters that are set and make sense."""
        self.is_valid()
        return Narrowing(**{name: value for name, value in self.cleaned_data.items() if value})


def reasons_of(outcome: str) -> list[tuple[str, str]]:
    """The reasons that entries of an outcome can have; none where it says nothing more."""
    if outcome == Outcome.MATCHED:
        return []
    return [
        (reason.value, reason.label)
        for reason in Reason
        if _OUTCOMES.get(reason, Outcome.UNMATCHED) == outcome
    ]


#: What an entry with the reason is; with the others it is unmatched.
_OUTCOMES = {
    Reason.MATCHED: Outcome.MATCHED,
    Reason.EXCLUDED_ADDRESS: Outcome.EXCLUDED,
    Reason.EXCLUDED_DOMAIN: Outcome.EXCLUDED,
    Reason.INTERNAL_ONLY: Outcome.EXCLUDED,
    Reason.DELETED_IN_CRM: Outcome.EXCLUDED,
    Reason.PROCESSING_ERROR: Outcome.FAILED,
}


def _number(name: str, label: str) -> forms.IntegerField:
    low, high = LIMITS[name]
    message = f"This is a whole number from {low} to {high}."
    return forms.IntegerField(
        label=label,
        help_text=MEANINGS[name],
        min_value=low,
        max_value=high,
        error_messages=dict.fromkeys(("required", "invalid", "min_value", "max_value"), message),
        widget=forms.NumberInput(attrs={"class": "form-control", "inputmode": "numeric"}),
    )


class SettingsForm(forms.Form):
    """The settings of the sync, each with the meaning and the limits that it has everywhere."""

    processing = forms.BooleanField(
        required=False,
        label="Read mail and calendars",
        help_text=MEANINGS["processing"],
        widget=forms.CheckboxInput(attrs={"class": "form-check-input", "role": "switch"}),
    )
    interval = _number("interval", "Interval in minutes")
    backfill_days = _number("backfill_days", "Backfill in days")
    look_back_days = _number("look_back_days", "Look back in days")
    retention_days = _number("retention_days", "History of unmatched mail in days")
    stop_after_failures = _number("stop_after_failures", "Stop after failures in a row")
    company_domains = forms.CharField(
        required=False,
        label="Company domains",
        help_text=MEANINGS["company_domains"],
        widget=forms.TextInput(
            attrs={"class": "form-control", "placeholder": "example.com; example.org"}
        ),
    )
    appointments = forms.ChoiceField(
        label="Appointments are imported",
        choices=[
            ("my-contacts", "with one of the rep's My Contacts"),
            ("any-contact", "with any contact of a customer"),
        ],
        help_text="Which appointments in reps' own calendars are shown on customers' calendars.",
        error_messages=dict.fromkeys(("required", "invalid_choice"), "Choose one of the two."),
        widget=forms.Select(attrs={"class": "form-select"}),
    )
    deletion_limit = _number("deletion_limit", "Deletions in one pass")
    deletion_share = _number("deletion_share", "Share of a calendar in percent")

    #: The fields of the card “Calendars”; the others are in the card “Reading”.
    CALENDARS = ("appointments", "deletion_limit", "deletion_share")

    def cards(self) -> list[tuple[str, list[forms.BoundField]]]:
        """The fields by card, but for the switch at the top of the first."""
        others = [field for field in self if field.name != "processing"]
        reading = [field for field in others if field.name not in self.CALENDARS]
        return [("Reading", reading), ("Calendars", [self[name] for name in self.CALENDARS])]

    @classmethod
    def initial_of(cls, settings: Settings) -> dict[str, object]:
        shown = {name: getattr(settings, name) for name in cls.base_fields}
        return shown | {"company_domains": "; ".join(settings.company_domains)}

    def clean_company_domains(self) -> object:
        try:
            return system_settings.parse("company_domains", self.cleaned_data["company_domains"])
        except BadSetting as error:
            raise forms.ValidationError(str(error)) from None

    def changes(self, settings: Settings) -> dict[str, str]:
        """The settings that differ, as `system_settings.change` takes them."""
        return {
            name: system_settings.write(name, value)
            for name, value in self.cleaned_data.items()
            if value != getattr(settings, name)
        }
