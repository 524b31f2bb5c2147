"""The system settings: their names, meanings, defaults and what values they accept.

Values live in `SystemSetting` rows, one for each setting that was changed. A reader takes all of
them at once with `current()`: one query, one consistent picture for a whole pass.
"""

from dataclasses import dataclass, fields
from typing import Any

from django.db import transaction

from accounts import audit
from accounts.addresses import normalise_domain
from accounts.models import SystemSetting, User


@dataclass(frozen=True)
class Settings:
    """All settings at one moment; the field's default is the setting's default."""

    processing: bool = True
    interval: int = 5
    backfill_days: int = 30
    look_back_days: int = 0
    retention_days: int = 365
    stop_after_failures: int = 10
    company_domains: tuple[str, ...] = ()
    bcc: bool = False
    fwd: bool = False
    automatic_forwarding: bool = False
    appointments: str = "my-contacts"
    deletion_limit: int = 20
    deletion_share: int = 50


MEANINGS = {
    "processing": "Whether mail and calendars are read at all; “off” pauses every mailbox.",
    "interval": "Minutes between two passes over a mailbox; 5 or 10 is recommended.",
    "backfill_days": "Days before its first authorisation from which a mailbox's mail is read.",
    "look_back_days": "Days for which mail is matched again when a contact is flagged later.",
    "retention_days": "Days that the history keeps an unmatched message's addresses and subject.",
    "stop_after_failures": "The same failure this often in a row stops a mailbox.",
    "company_domains": (
        "The company's own domains, separated by “;”: mail in which every party is inside them "
        "is left out. Empty: no such rule."
    ),
    "bcc": "Whether mail that reps BCC to the intake mailbox is logged.",
    "fwd": "Whether mail that reps forward to the intake mailbox is logged.",
    "automatic_forwarding": (
        "Whether mail that a rep's mail account forwards by itself is accepted by the intake. The "
        "rep cannot be proved by it: leave it off where in doubt."
    ),
    "appointments": (
        "Whose external appointments are imported: “my-contacts” (with one of the rep's own "
        "contacts) or “any-contact”."
    ),
    "deletion_limit": (
        "More deletions than this in one pass over a calendar wait until an admin allows them."
    ),
    "deletion_share": "So does a larger share of a calendar's items than this, in percent.",
}

#: The values of each setting that is a choice.
CHOICES = {
    "appointments": ("my-contacts", "any-contact"),
}

#: Smallest and largest value of each number.
LIMITS = {
    "interval": (1, 1440),
    "backfill_days": (0, 3650),
    "look_back_days": (0, 3650),
    "retention_days": (1, 3650),
    "stop_after_failures": (2, 1000),
    "deletion_limit": (1, 100_000),
    "deletion_share": (1, 100),
}


class BadSetting(ValueError):
    """The name or the value is not one; the message says which are."""


def names() -> list[str]:
    return [field.name for field in fields(Settings)]


def current() -> Settings:
    """The settings as stored now, in one query. A stored value no longer allowed is the default."""
    values: dict[str, Any] = {}
    for name, text in SystemSetting.objects.values_list("name", "value"):
        try:
            values[name] = parse(name, text)
        except BadSetting:
            continue
    return Settings(**values)


def known_name(text: str) -> str:
    """The setting's name, also where it is typed “Look-back days”. Raises BadSetting."""
    name = text.strip().lower().replace("-", "_").replace(" ", "_")
    if name not in MEANINGS:
        raise BadSetting(f"There is no setting “{text}”. There are: {', '.join(names())}.")
    return name


def parse(name: str, text: str) -> bool | int | str | tuple[str, ...]:
    """The typed value of a setting written as text. Raises BadSetting."""
    name = known_name(name)
    text = text.strip()
    default = getattr(Settings, name, ())
    if isinstance(default, bool):
        return _parse_switch(name, text)
    if isinstance(default, int):
        return _parse_number(name, text)
    if isinstance(default, str):
        return _parse_choice(name, text)
    return _parse_domains(name, text)


def write(name: str, value: object) -> str:
    """A value as text, the form in which it is shown, stored and typed."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ";".join(value)
    return str(value)


@transaction.atomic
def change(name: str, text: str, *, by: User | None = None) -> Settings:
    """Store a setting written as text and return all settings. Raises BadSetting.

    A change is in the audit list; `by` None is the command line.
    """
    name = known_name(name)
    value = write(name, parse(name, text))
    former = write(name, getattr(current(), name))
    SystemSetting.objects.update_or_create(name=name, defaults={"value": value})
    if value != former:
        about = f"{name}: {value or 'nothing'} (before: {former or 'nothing'})"
        audit.record(audit.Action.CHANGED_SETTING, actor=by, about=about)
    return current()


def _parse_switch(name: str, text: str) -> bool:
    if text.lower() in {"on", "yes", "true", "1"}:
        return True
    if text.lower() in {"off", "no", "false", "0"}:
        return False
    raise BadSetting(f"{name} is “on” or “off”, not “{text}”.")


def _parse_number(name: str, text: str) -> int:
    low, high = LIMITS[name]
    try:
        number = int(text)
    except ValueError:
        number = low - 1
    if not low <= number <= high:
        raise BadSetting(f"{name} is a whole number from {low} to {high}, not “{text}”.")
    return number


def _parse_choice(name: str, text: str) -> str:
    value = text.lower().replace("_", "-").replace(" ", "-")
    if value not in CHOICES[name]:
        allowed = " or ".join(f"“{choice}”" for choice in CHOICES[name])
        raise BadSetting(f"{name} is {allowed}, not “{text}”.")
    return value


def _parse_domains(name: str, text: str) -> tuple[str, ...]:
    domains = []
    for part in filter(None, (part.strip() for part in text.replace(",", ";").split(";"))):
        domain = normalise_domain(part)
        if not domain:
            raise BadSetting(f"{name} are domains such as example.com, not “{part}”.")
        domains.append(domain)
    return tuple(dict.fromkeys(domains))
