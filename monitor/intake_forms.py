"""The form of the BCC/FWD configuration."""

from typing import Any

from django import forms

from accounts.system_settings import MEANINGS, Settings
from crm_sync.forms import TablerForm
from email_sync.models import IntakeConnection

_YES_NO = [("on", "Yes"), ("off", "No")]


def _switch(label: str, name: str) -> forms.ChoiceField:
    return forms.ChoiceField(
        label=label, choices=_YES_NO, widget=forms.RadioSelect, help_text=MEANINGS[name]
    )


class IntakeForm(TablerForm, forms.Form):
    """Yes or no for BCC, for forwarding, and the connection that is read."""

    bcc = _switch("Email BCC", "bcc")
    fwd = _switch("Email forward", "fwd")
    connection = forms.ModelChoiceField(
        IntakeConnection.objects.none(),
        required=False,
        label="Connection",
        empty_label="None",
        help_text="The Gmail mailbox to which reps BCC or forward.",
    )
    automatic_forwarding = forms.BooleanField(
        required=False,
        label="Accept automatic forwarding",
        help_text=MEANINGS["automatic_forwarding"],
        widget=forms.CheckboxInput(attrs={"role": "switch"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["connection"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = IntakeConnection.objects.all()
        field.label_from_instance = _label  # type: ignore[assignment, method-assign]

    @classmethod
    def initial_of(cls, settings: Settings, selected: IntakeConnection | None) -> dict[str, object]:
        return {
            "bcc": "on" if settings.bcc else "off",
            "fwd": "on" if settings.fwd else "off",
            "automatic_forwarding": settings.automatic_forwarding,
            "connection": selected,
        }

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        is_on = "on" in {cleaned.get("bcc"), cleaned.get("fwd")}
        if is_on and not cleaned.get("connection") and "connection" not in self.errors:
            self.add_error("connection", "Choose the connection that is to be read.")
        return cleaned

    def switches(self) -> list[forms.BoundField]:
        """What is answered by yes or no at the top of the page."""
        return [self["bcc"], self["fwd"]]

    def changes(self, settings: Settings) -> dict[str, str]:
        """The settings that differ, as `system_settings.change` takes them."""
        wanted = {
            "bcc": self.cleaned_data["bcc"],
            "fwd": self.cleaned_data["fwd"],
            "automatic_forwarding": "on" if self.cleaned_data["automatic_forwarding"] else "off",
        }
        return {
            name: value
            for name, value in wanted.items()
            if (value == "on") is not getattr(settings, name)
        }


def _label(connection: IntakeConnection) -> str:
    whose = connection.address or "not authorised"
    return f"{connection.name} ({whose})"
