"""Filters of the monitor's lists, and the settings. They validate and convert; they do not act."""

from typing import Any

from django import forms

from accounts import system_settings
from accounts.rules import State
from accounts.system_settings import LIMITS, MEANINGS, Settings
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


class HistoryFilter(forms.Form):
    """The line of filters above a history. A bad date is named and otherwise ignored."""

    text = forms.CharField(required=False)
    since = forms.DateField(required=False, error_messages={"invalid": "This is not a date."})
    until = forms.DateField(required=False, error_messages={"invalid": "This is not a date."})
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
    is_failure = outcome == Outcome.FAILED
    return [
        (reason.value, reason.label)
        for reason in Reason
        if reason != Reason.MATCHED and (reason == Reason.PROCESSING_ERROR) == is_failure
    ]


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

    def changes(self, settings: Settings) -> dict[str, str]:
        """The settings that differ, as `system_settings.change` takes them."""
        return {
            name: system_settings.write(name, value)
            for name, value in self.cleaned_data.items()
            if value != getattr(settings, name)
        }
