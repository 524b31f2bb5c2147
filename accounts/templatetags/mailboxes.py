"""What templates draw of a mailbox's state."""

from django import template

from accounts.models import MailboxSync
from accounts.outcomes import state_of
from accounts.rules import State
from accounts.states import Appearance, appearance

register = template.Library()


@register.inclusion_tag("state_badge.html")
def state_badge(state: State | MailboxSync | str) -> dict[str, Appearance]:
    """A word with a colour and an icon; the manual's sentence on hover and focus.

    Takes a state, its text, or a MailboxSync whose mailbox is loaded.
    """
    if isinstance(state, MailboxSync):
        state = state_of(state)
    return {"state": appearance(State(state))}


@register.filter
def next_action(state: State | str) -> str:
    """The label of the one thing to do next; "" where there is nothing to do."""
    return appearance(State(state)).action
