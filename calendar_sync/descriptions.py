"""The texts of events and items: what is kept of them, and how note and card share a description.

Pure functions. Our note stands above a line in the description, the contact's card below it.
"""

import re
from collections.abc import Sequence

from crm_sync.html_text import to_text

LINE = "--- From the CRM. Please write above this line. ---"
#: Mail apps change dashes and blanks; the words stay.
_LINE = re.compile(
    r"[-–—―_ ]*From the CRM\.\s+Please write above this line\.[-–—―_ ]*", re.IGNORECASE
)
_HTML = re.compile(
    r"</?(?:html|head|body|p|br|div|span|a|b|i|u|em|strong|ul|ol|li|table|tr|td|font|h[1-6]|hr|"
    r"pre|blockquote|meta|style|img)\b[^<>]*>",
    re.IGNORECASE,
)
UNTITLED = "(no title)"
#: What the columns hold, and what is kept of a note.
LONGEST_TITLE = 300
LONGEST_LOCATION = 300
LONGEST_NOTE = 20_000
#: What an event may hold: Nylas's own limit for a place, Google's for a description
#: (https://developer.nylas.com/docs/reference/api/events/create-event/).
LONGEST_LOCATION_THERE = 255
LONGEST_DESCRIPTION = 8_192


def one_line(text: str) -> str:
    return " ".join(text.split())


def readable(text: str) -> str:
    """A description as plain text, whether it came as text or as HTML."""
    if _HTML.search(text):
        return to_text(text)[:LONGEST_NOTE]
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.strip()[:LONGEST_NOTE]


def compose(note: str, card: str) -> str:
    """The description that goes out."""
    return "\n\n".join(filter(None, (note.strip(), f"{LINE}\n{card}" if card else "")))


def note_that_fits(note: str, card: str) -> str:
    """As much of the note as an event takes beside the card; the item keeps all of it."""
    return note[: max(0, LONGEST_DESCRIPTION + 1 - len(compose("-", card)))]


def split(description: str) -> tuple[str, str]:
    """The note and the card of a description that came back; without the line all is note."""
    text = readable(description)
    found = _LINE.search(text)
    if found is None:
        return text, ""
    return text[: found.start()].strip(), text[found.end() :].strip()


def card_of(*, contact: str, customer: str, phone: str, addresses: Sequence[str]) -> str:
    """Who it is about and how they are reached (seed 001: “You must add the contact name and
    contact information”)."""
    name = f"{contact} ({customer})" if contact and customer else contact or customer
    return "\n".join(filter(None, (name, phone, *addresses)))
