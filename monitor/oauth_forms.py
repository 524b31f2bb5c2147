"""The form of an OAuth connection."""

from typing import Any

from django import forms

from accounts.addresses import MAX_ADDRESS_LENGTH, normalise
from crm_sync.forms import TablerForm
from email_sync.models import IntakeConnection


class ConnectionForm(TablerForm, forms.ModelForm):  # type: ignore[type-arg]
    """ID and description, client ID and client secret. A stored secret is never shown again."""

    expected_address = forms.EmailField(
        required=False,
        label="Mailbox",
        max_length=MAX_ADDRESS_LENGTH,
        error_messages={"invalid": "This is not an email address."},
        help_text=(
            "The address of the monitored mailbox. Consent for another one is then refused."
        ),
    )
    client_secret = forms.CharField(
        required=False,
        label="Client secret",
        max_length=300,
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "class": "form-control"}),
    )

    class Meta:
        model = IntakeConnection
        fields = ("name", "description", "expected_address", "client_id")
        labels = {"name": "ID", "client_id": "Client ID"}
        help_texts = {
            "name": "A short name for this connection, such as gmail-intake.",
            "client_id": "From the Google console; it ends in .apps.googleusercontent.com.",
        }
        error_messages = {
            "name": {
                "required": "Give the connection an ID.",
                "unique": "There is a connection with this ID already.",
            }
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["client_id"].widget.attrs.update(autocomplete="off", spellcheck="false")
        if self.instance.client_secret:
            self.fields["client_secret"].help_text = "It is set. Type a new one to replace it."
        else:
            self.fields["client_secret"].help_text = "It is stored encrypted and never shown again."

    def clean_expected_address(self) -> str:
        return normalise(self.cleaned_data["expected_address"])

    def clean_client_id(self) -> str:
        return str(self.cleaned_data["client_id"]).strip()

    def clean_client_secret(self) -> str:
        return str(self.cleaned_data["client_secret"]).strip()

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        has_secret = bool(cleaned.get("client_secret") or self.instance.client_secret)
        if cleaned.get("client_id") and not has_secret:
            self.add_error("client_secret", "The client ID needs its client secret.")
        return cleaned

    def save(self, commit: bool = True) -> IntakeConnection:
        connection: IntakeConnection = super().save(commit=False)
        if secret := self.cleaned_data["client_secret"]:
            connection.client_secret = secret
        if commit:
            # Of a stored one only these: a pass may be writing the others.
            is_new = connection._state.adding
            names = None if is_new else [*self.Meta.fields, "client_secret"]
            connection.save(update_fields=names)
        return connection
