"""How mail programs say "forwarded" in English, German and French: data for `forwarding.py`."""

from __future__ import annotations

from typing import NamedTuple


class Words(NamedTuple):
    # Gmail translates one label and leaves the others.
    gmail_from: str
    gmail_date: str  # {wd} {d} {mon} {y} {time}
    outlook_prefix: str
    outlook_labels: tuple[str, str, str, str, str]  # from, sent, to, cc, subject
    outlook_date: str  # {weekday} {d} {month} {y} {time}
    apple_opening: str
    apple_labels: tuple[str, str, str, str, str]  # from, subject, date, to, cc
    apple_date: str  # {d} {month} {y} {time} {zone}
    colon: str
    months: tuple[str, ...]
    short_months: tuple[str, ...]
    weekdays: tuple[str, ...]  # from Monday
    short_weekdays: tuple[str, ...]
    has_am_pm: bool
    zones: dict[str, str]


LANGUAGES: dict[str, Words] = {
    "en": Words(
        gmail_from="From:",
        gmail_date="{wd}, {mon} {d}, {y} at {time}",
        outlook_prefix="FW: ",
        outlook_labels=("From", "Sent", "To", "Cc", "Subject"),
        outlook_date="{weekday}, {month} {d}, {y} {time}",
        apple_opening="Begin forwarded message:",
        apple_labels=("From", "Subject", "Date", "To", "Cc"),
        apple_date="{month} {d}, {y} at {time} {zone}",
        colon=":",
        months=("January", "February", "March", "April", "May", "June", "July", "August",
                "September", "October", "November", "December"),
        short_months=("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov",
                      "Dec"),
        weekdays=("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
        short_weekdays=("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
        has_am_pm=True,
        zones={},
    ),
    "de": Words(
        gmail_from="Von:",
        gmail_date="{wd}, {d}. {mon} {y} um {time} Uhr",
        outlook_prefix="WG: ",
        outlook_labels=("Von", "Gesendet", "An", "Cc", "Betreff"),
        outlook_date="{weekday}, {d}. {month} {y} {time}",
        apple_opening="Anfang der weitergeleiteten Nachricht:",
        apple_labels=("Von", "Betreff", "Datum", "An", "Kopie"),
        apple_date="{d}. {month} {y} um {time} {zone}",
        colon=":",
        months=("Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August",
                "September", "Oktober", "November", "Dezember"),
        short_months=("Jan.", "Feb.", "März", "Apr.", "Mai", "Juni", "Juli", "Aug.", "Sept.",
                      "Okt.", "Nov.", "Dez."),
        weekdays=("Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"),
        short_weekdays=("Mo.", "Di.", "Mi.", "Do.", "Fr.", "Sa.", "So."),
        has_am_pm=False,
        zones={"CET": "MEZ", "CEST": "MESZ"},
    ),
    "fr": Words(
        gmail_from="De :",
        gmail_date="{wd} {d} {mon} {y} à {time}",
        outlook_prefix="TR: ",
        outlook_labels=("De", "Envoyé", "À", "Cc", "Objet"),
        outlook_date="{weekday} {d} {month} {y} {time}",
        apple_opening="Début du message réexpédié :",
        apple_labels=("De", "Objet", "Date", "À", "Cc"),
        apple_date="{d} {month} {y} à {time} {zone}",
        colon=" :",
        months=("janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août",
                "septembre", "octobre", "novembre", "décembre"),
        short_months=("janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.",
                      "oct.", "nov.", "déc."),
        weekdays=("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"),
        short_weekdays=("lun.", "mar.", "mer.", "jeu.", "ven.", "sam.", "dim."),
        has_am_pm=False,
        zones={"CET": "UTC+1", "CEST": "UTC+2"},
    ),
}  # fmt: skip
