"""What this app offers on the pages of the rooms below: sections, buttons, panels, entries."""

from accounts.calendar_entries import Kind
from accounts.calendar_entries import register as register_entries
from accounts.models import User
from accounts.sections import (
    Action,
    Section,
    register,
    register_action,
    register_profile_card,
    register_profile_panel,
)
from calendar_sync.entries import action_items


def register_screens() -> None:
    register_action(Action(title="New To-Do", icon="plus", url="calendar_sync:action-new"))
    register(
        Section(
            key="to-dos",
            title="To-Dos",
            customer_url="calendar_sync:customer-to-dos",
            contact_url="calendar_sync:contact-to-dos",
            is_shown=_for_everybody,
        )
    )
    register(
        Section(
            key="calendar",
            title="Calendar",
            customer_url="calendar_sync:customer-calendar",
            contact_url="calendar_sync:contact-calendar",
            is_shown=_for_everybody,
        )
    )
    register_profile_panel("calendar_sync:brake")
    register_profile_card("calendar_sync:feed-address")
    register_entries(action_items, kinds=[Kind.TO_DO, Kind.APPOINTMENT])


def _for_everybody(user: User) -> bool:
    return True
