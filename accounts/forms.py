"""Forms: they validate and convert; the views act."""

import zoneinfo
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from accounts.addresses import MAX_ADDRESS_LENGTH, normalise
from accounts.folders import split_names
from accounts.models import Contact, Customer, Mailbox, User, UserAlias
from crm_sync.forms import TablerForm


class AddressesField(forms.CharField):
    """Several email addresses, one a line (or separated by “;” or “,”); a list, normalised."""

    def __init__(self, **kwargs: Any) -> None:
        rows = {"rows": 3, "autocapitalize": "none", "spellcheck": "false"}
        super().__init__(widget=forms.Textarea(attrs=rows), **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> list[str]:  # type: ignore[override]
        addresses = []
        text = super().to_python(value) or ""
        for part in text.replace(";", "\n").replace(",", "\n").splitlines():
            if part.strip():
                addresses.append(one_address(part))
        return list(dict.fromkeys(addresses))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial), data)


def one_address(text: str) -> str:
    """The address, normalised. Raises ValidationError with a sentence that names what is wrong."""
    address = normalise(text)
    try:
        forms.EmailField().clean(address)
    except ValidationError:
        raise ValidationError(f"“{text.strip()}” is not an email address.") from None
    if len(address) > MAX_ADDRESS_LENGTH:
        raise ValidationError(f"An address has {MAX_ADDRESS_LENGTH} characters at most.")
    return address


# --- customers and contacts --------------------------------------------------------------------
class CustomerListForm(TablerForm, forms.Form):
    """The filters of the customer list; they live in the address."""

    SORTS = ("name", "number", "status", "division", "manager")

    q = forms.CharField(required=False, max_length=200)
    status = forms.ChoiceField(
        required=False, choices=[("", "Any status"), *Customer.Status.choices]
    )
    mine = forms.BooleanField(required=False)
    sort = forms.CharField(required=False)

    def clean_sort(self) -> str:
        sort: str = self.cleaned_data["sort"]
        return sort if sort.removeprefix("-") in self.SORTS else "name"

    def values(self) -> dict[str, Any]:
        """What is filtered by. A value that makes no sense filters nothing."""
        self.is_valid()
        return {"q": "", "status": "", "mine": False, "sort": "name"} | self.cleaned_data


class CustomerForm(TablerForm, forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Customer
        fields = ("name", "number", "status", "account_manager", "division", "address")
        widgets = {"address": forms.Textarea(attrs={"rows": 3})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        people = self.fields["account_manager"]
        if isinstance(people, forms.ModelChoiceField):
            people.queryset = User.objects.filter(is_active=True) | User.objects.filter(
                pk=self.instance.account_manager_id
            )
            people.empty_label = "Nobody yet"


class ContactForm(TablerForm, forms.ModelForm):  # type: ignore[type-arg]
    addresses = AddressesField(
        label="Email addresses",
        help_text="One a line. Mail from or to any of them belongs to this contact.",
    )

    class Meta:
        model = Contact
        fields = ("first_name", "last_name", "phone")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["addresses"] = [row.address for row in self.instance.addresses.all()]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not (cleaned.get("first_name") or cleaned.get("last_name")):
            raise ValidationError("Enter a first name or a last name.")
        return cleaned


class BulkFlagForm(forms.Form):
    """Which contacts are to be flagged, or unflagged."""

    contacts = forms.ModelMultipleChoiceField(Contact.objects.all())
    flag = forms.TypedChoiceField(
        choices=[("yes", "yes"), ("no", "no")], coerce=lambda value: value == "yes"
    )


# --- one's own profile -------------------------------------------------------------------------
def time_zones() -> list[tuple[str, str]]:
    """Every zone with a place's name, UTC first."""
    names = sorted(name for name in zoneinfo.available_timezones() if "/" in name)
    places = [name for name in names if not name.startswith(("Etc/", "SystemV/", "posix/"))]
    return [("UTC", "UTC"), *((name, name.replace("_", " ")) for name in places)]


class ProfileForm(TablerForm, forms.ModelForm):  # type: ignore[type-arg]
    aliases = AddressesField(
        label="Aliases",
        required=False,
        help_text="Further addresses that you send from, one a line. Mail from them counts as "
        "sent by you, and they never match as a contact's.",
    )
    time_zone = forms.ChoiceField(choices=time_zones, help_text="Times are shown in this zone.")

    class Meta:
        model = User
        fields = ("first_name", "last_name", "email", "time_zone")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["aliases"] = [row.address for row in self.instance.aliases.all()]

    def clean_email(self) -> str:
        address: str = self.cleaned_data["email"]
        if address:
            self._refuse_others([normalise(address)])
        return address

    def clean_aliases(self) -> list[str]:
        addresses: list[str] = self.cleaned_data["aliases"]
        self._refuse_others(addresses)
        return addresses

    def _refuse_others(self, addresses: list[str]) -> None:
        """An address says whose mail something is: it belongs to one user only."""
        others = User.objects.exclude(pk=self.instance.pk)
        for address in addresses:
            if (
                UserAlias.objects.filter(address=address, user__in=others).exists()
                or others.filter(email__iexact=address).exists()
                or others.filter(mailbox__address=address).exists()
                or others.filter(mailbox__authorised_address=address).exists()
            ):
                raise ValidationError(f"{address} belongs to another user.")


#: Fields after whose change a pass reads something else.
_READ = {"email_enabled", "folder_names", "sent_folder_name", "calendar_enabled", "calendar_name"}


class MailboxForm(TablerForm, forms.ModelForm):  # type: ignore[type-arg]
    """The settings of the profile's Email Integration tab, in the manual's words (seed 001)."""

    class Meta:
        model = Mailbox
        fields = (
            "email_enabled",
            "folder_names",
            "sent_folder_name",
            "address",
            "calendar_enabled",
            "calendar_name",
            "days_after",
        )
        labels = {
            "email_enabled": "Enable Email Sync",
            "folder_names": "Email Folder(s)",
            "sent_folder_name": "Sent Folder",
            "address": "User Name / Email Address",
            "calendar_enabled": "Enable Calendar Sync",
            "calendar_name": "Calendar Name",
            "days_after": "Sync Days after Today",
        }
        help_texts = {
            "folder_names": "Recommended: leave blank for Inbox and Sent. Otherwise names "
            "separated by “;”, the last part of the path only (CoolStuff, not Inbox/CoolStuff). "
            "When some are named, Inbox and Sent sync only if they are named too.",
            "sent_folder_name": "Only where sent mail is kept in a folder of another name; leave "
            "blank for the one that your provider marks as Sent.",
            "address": "The mailbox to read; it may be another address than the one in your "
            "profile.",
            "calendar_name": "Leave blank for the one named “Calendar”, or else your main one.",
            "days_after": "How far ahead calendar items are synced; 0 is today. Blank: no limit.",
        }
        widgets = {
            "folder_names": forms.TextInput(attrs={"placeholder": "Inbox and Sent"}),
            "address": forms.EmailInput(attrs={"autocomplete": "email", "autocapitalize": "none"}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # What is authorised as long as the field is blank.
        self.fields["address"].widget.attrs["placeholder"] = self.instance.user.email

    def clean_address(self) -> str:
        address: str = self.cleaned_data["address"]
        return one_address(address) if address.strip() else ""

    def clean_folder_names(self) -> str:
        return "; ".join(split_names(self.cleaned_data["folder_names"]))

    @property
    def changes_what_is_read(self) -> bool:
        return bool(_READ & set(self.changed_data))


class DisconnectForm(TablerForm, forms.Form):
    revoke = forms.BooleanField(
        required=False,
        initial=True,
        label="Also take the access back at Nylas",
        help_text="Recommended. Without it only this CRM forgets the connection; the provider "
        "would still list it as allowed.",
    )
