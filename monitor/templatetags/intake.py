"""What templates of the intake draw."""

from datetime import datetime

from django import template
from django.utils.dateparse import parse_datetime

from email_sync.intake_rules import SURE_ENOUGH
from email_sync.models import IntakeReview

register = template.Library()

#: How a forward was read (`email_sync.forwarded.Forwarded.method`), in words.
_METHODS = {
    "attachment": "The original is attached.",
    "labels": "By the lines From, To, Date and Subject below a separator.",
    "labels-without-separator": "By lines such as From and Date, without a separator above them.",
    "attribution": "By a sentence such as “On …, … wrote:”.",
    "person": "By what a person put right.",
}


@register.filter
def sureness(confidence: float) -> str:
    """How sure a forward was read (0 to 1), in words and percent."""
    if confidence < SURE_ENOUGH:
        words = "not sure" if confidence else "not at all"
    else:
        words = "fairly sure" if confidence < 0.9 else "sure"
    return f"{words} ({confidence:.0%})"


@register.filter
def method_in_words(method: str) -> str:
    if method.endswith("-html"):
        program = method.removesuffix("-html").replace("-", " ").capitalize()
        return f"By the way in which {program} marks a forward."
    return _METHODS.get(method, "No forwarded message was found in it.")


@register.filter
def moment(text: str) -> datetime | None:
    """A time that was stored as text."""
    return parse_datetime(text) if text else None


@register.simple_tag
def open_reviews() -> int:
    """How many questions about messages of the intake wait for an answer."""
    return IntakeReview.objects.open().count()
