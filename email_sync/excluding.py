"""Adding and removing what is never logged: from the screens and from CSV files."""

from typing import TextIO

from django import forms
from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.importing import BadRow, Report, rows_of
from accounts.models import User
from crm_sync.forms import TablerForm
from email_sync.models import Exclusion
from email_sync.models.exclusions import normalise_value

COLUMNS = "kind value user".split()


class ExclusionForm(TablerForm, forms.Form):
    """One address, or one domain: told apart by the @ inside."""

    value = forms.CharField(
        label="Address or domain",
        max_length=320,
        widget=forms.TextInput(
            attrs={"placeholder": "lawyer@firm.example or firm.example", "autocomplete": "off"}
        ),
    )

    def clean(self) -> dict[str, str]:
        text = (self.cleaned_data.get("value") or "").strip()
        is_address = "@" in text.lstrip("@")
        kind = Exclusion.Kind.ADDRESS if is_address else Exclusion.Kind.DOMAIN
        if not text:
            return {}
        try:
            return {"kind": kind, "value": normalise_value(kind, text)}
        except ValidationError as error:
            raise ValidationError({"value": error}) from None


def exclude(kind: str, value: str, *, user: User | None) -> bool:
    """Never log this from now on, for everybody or for one user; False where it was so already."""
    value = normalise_value(kind, value)
    return Exclusion.objects.get_or_create(kind=kind, value=value, user=user)[1]


def import_exclusions(file: TextIO) -> Report:
    """Add the rows of a CSV file; a blank user means everybody. Nothing is removed."""
    report = Report()
    users = {user.username.casefold(): user for user in User.objects.all()}
    for line, row in rows_of(file, COLUMNS, report):
        try:
            with transaction.atomic():
                is_new = _store_row(row, users)
        except BadRow as cause:
            report.reject(line, str(cause))
        else:
            report.counts["created" if is_new else "unchanged"] += 1
    return report


def _store_row(row: dict[str, str], users: dict[str, User]) -> bool:
    kind = row["kind"].lower()
    if kind not in Exclusion.Kind:
        raise BadRow(f"kind is “address” or “domain”, not “{row['kind']}”.")
    name = row["user"].casefold()
    if name and name not in users:
        raise BadRow(f"user names nobody: “{row['user']}”.")
    try:
        return exclude(kind, row["value"], user=users[name] if name else None)
    except ValidationError as error:
        raise BadRow(" ".join(error.messages)) from None
