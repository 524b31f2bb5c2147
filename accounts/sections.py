"""Sections of the customer and contact pages and of the profile, offered by the rooms above.

The pages belong to this app and know nothing above it: an app registers what it owns in its
`AppConfig.ready`, and the page fetches each section from its own address.
"""

from collections.abc import Callable
from dataclasses import dataclass

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


_profile_panels: list[str] = []


def register_profile_panel(url_name: str) -> None:
    """Show a piece below the connection in the profile's Email Integration tab.

    `url_name` takes no argument: the piece is about the signed-in user's own mailbox. It is
    fetched once when the page loads, and again after a pass was asked for; it may poll itself.
    """
    _profile_panels.append(url_name)


def profile_panels() -> list[str]:
    """The addresses of the registered pieces."""
    return [reverse(name) for name in _profile_panels]
