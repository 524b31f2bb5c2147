"""What the rooms above offer on the customer and contact pages and on the profile.

The pages belong to this app and know nothing above it: an app registers what it owns in its
`AppConfig.ready`, and the page fetches each section from its own address.
"""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from django.urls import reverse

from accounts.models import User


@dataclass(frozen=True)
class Section:
    """One shutter. `customer_url` and `contact_url` are URL names that take the row's key."""

    key: str
    title: str
    customer_url: str
    contact_url: str
    is_shown: Callable[[User], bool]


_sections: list[Section] = []


def register(section: Section) -> None:
    _sections.append(section)


def sections_for(user: User) -> list[Section]:
    """The sections that this user is shown, in the order in which they were registered."""
    return [section for section in _sections if section.is_shown(user)]


@dataclass(frozen=True)
class Shutter:
    """A section on one page: where it is fetched from, and whether its user left it open."""

    key: str
    title: str
    url: str
    is_open: bool


def shutters_for(user: User, page: str, pk: int) -> list[Shutter]:
    """The sections of a page; `page` is “customer_url” or “contact_url”. Contacts come first.

    The page draws its contacts itself, so that shutter has no address.
    """
    closed = set(user.closed_shutters.values_list("section", flat=True))
    own = [Shutter("contacts", "Contacts", "", "contacts" not in closed)]
    return [
        *(own if page == "customer_url" else []),
        *(
            Shutter(
                section.key,
                section.title,
                reverse(getattr(section, page), args=[pk]),
                section.key not in closed,
            )
            for section in sections_for(user)
        ),
    ]


@dataclass(frozen=True)
class Action:
    """A button at the top of both pages, which opens a dialog; the first is the primary action.

    `url` is a URL name without arguments: `?customer=` or `?contact=` says whose page it was.
    """

    title: str
    icon: str
    url: str


_actions: list[Action] = []


def register_action(action: Action) -> None:
    _actions.append(action)


def actions_for(**whose: int) -> list[tuple[Action, str]]:
    """The buttons of a page with their addresses; `customer=…` or `contact=…` says whose it is."""
    return [(action, f"{reverse(action.url)}?{urlencode(whose)}") for action in _actions]


_profile_panels: list[str] = []


def register_profile_panel(url_name: str) -> None:
    """Show a piece below the connection in the profile's Email Integration tab.

    `url_name` takes no argument: the piece is about the signed-in user's own mailbox, or with
    `?user=` about that user's. It is fetched once when the page loads, and again after a pass was
    asked for; it may poll itself.
    """
    _profile_panels.append(url_name)


def profile_panels(owner: User, viewer: User) -> list[str]:
    """The addresses of the registered pieces; `?user=` where an admin looks at somebody else's."""
    query = "" if owner == viewer else f"?user={owner.pk}"
    return [reverse(name) + query for name in _profile_panels]


_profile_cards: list[str] = []


def register_profile_card(url_name: str) -> None:
    """Show a card of its own below the signed-in user's data; `url_name` takes no argument."""
    _profile_cards.append(url_name)


def profile_cards() -> list[str]:
    return [reverse(name) for name in _profile_cards]
