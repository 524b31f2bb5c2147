"""The pattern of a mailbox: every hundred messages hold the same mixture, differently shuffled.

Because the mixture of a block is fixed, the n-th message of a folder and the size of a folder are
plain arithmetic: a page of one folder in a mailbox of a hundred thousand costs about a page.
Mailboxes come in pairs of colleagues (0 and 1, 2 and 3, …) that share the order of their blocks,
so that what one sends the other finds in their own mailbox, with the same Message-ID and date.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

BLOCK = 100
VARIANTS = 16


class Kind(IntEnum):
    CUSTOMER = 0
    SHARED = 1  # a customer's thread that the colleague has in copy
    PROSPECT = 2
    INTERNAL = 3
    PERSONAL = 4
    SELF = 5
    NEWSLETTER = 6
    NOTICE = 7
    SPAM = 8
    DRAFT = 9


# One letter per message: which folders it lies in. Google: labels, Microsoft: one folder.
GOOGLE_ROLES: dict[str, tuple[str, ...]] = {
    "R": ("inbox",),
    "I": ("inbox", "important"),
    "h": ("inbox", "harbor"),
    "c": ("clients",),
    "a": ("archive",),
    "n": ("newsletters",),
    "p": ("inbox", "promotions"),
    "S": ("sent",),
    "H": ("sent", "harbor"),
    "B": ("sent", "inbox"),
    "T": ("trash",),
    "J": ("junk",),
    "D": ("drafts",),
}
MICROSOFT_ROLES: dict[str, tuple[str, ...]] = {
    **GOOGLE_ROLES,
    "I": ("inbox",),
    "h": ("harbor",),
    "p": ("inbox",),
    "H": ("sent",),
    "B": ("sent",),
}
ROLES = {"google": GOOGLE_ROLES, "microsoft": MICROSOFT_ROLES}
SENT_LETTERS = frozenset("SHBD")

# Each thread: its kind and one letter per message, oldest first, for the even and the odd mailbox
# of a pair. Mirrored pairs keep the counts of both alike.
_THREADS: tuple[tuple[Kind, str, str], ...] = (
    (Kind.CUSTOMER, "RSRS", "RSRS"),
    (Kind.CUSTOMER, "ISR", "ISR"),
    (Kind.CUSTOMER, "SRS", "SRS"),
    (Kind.CUSTOMER, "hH", "hH"),
    (Kind.CUSTOMER, "SR", "SR"),
    (Kind.CUSTOMER, "RSR", "RSR"),
    (Kind.CUSTOMER, "R", "R"),
    (Kind.CUSTOMER, "S", "S"),
    (Kind.CUSTOMER, "a", "a"),
    (Kind.CUSTOMER, "c", "c"),
    (Kind.CUSTOMER, "S", "S"),
    (Kind.SHARED, "RS", "RR"),
    (Kind.SHARED, "RR", "RS"),
    (Kind.PROSPECT, "RS", "RS"),
    (Kind.PROSPECT, "R", "R"),
    (Kind.PROSPECT, "R", "R"),
    (Kind.INTERNAL, "SRS", "RSR"),
    (Kind.INTERNAL, "RSR", "SRS"),
    (Kind.INTERNAL, "SR", "RS"),
    (Kind.INTERNAL, "RS", "SR"),
    (Kind.INTERNAL, "S", "R"),
    (Kind.INTERNAL, "R", "S"),
    (Kind.PERSONAL, "RS", "RS"),
    (Kind.PERSONAL, "R", "R"),
    (Kind.PERSONAL, "a", "a"),
    (Kind.SELF, "BR", "BR"),
    *((Kind.NEWSLETTER, letter, letter) for letter in "RRRRRRRRRRRRRRRRpppppppnnnnnnnnaaTT"),
    *((Kind.NOTICE, letter, letter) for letter in "RRRRRRaaIT"),
    *((Kind.SPAM, "J", "J") for _ in range(5)),
    *((Kind.DRAFT, "D", "D") for _ in range(2)),
)


class Slot(NamedTuple):
    kind: Kind
    thread: int
    step: int  # 0 is the oldest message of its thread
    letter: str  # what this mailbox sees
    pattern: str  # the letters of the whole thread, this mailbox's side
    is_shared: bool


class Layout:
    """One shuffled block, seen from one side of the pair."""

    def __init__(self, slots: list[Slot]) -> None:
        self.slots = slots
        self._places: dict[tuple[str, str], list[int]] = {}
        self.by_thread: dict[int, list[int]] = {}
        for place, slot in enumerate(slots):
            # Places run from new to old, so a thread's places end with its first message.
            self.by_thread.setdefault(slot.thread, []).append(place)

    def places(self, provider: str, role: str) -> list[int]:
        """The places of the messages that lie in the folder of this role, ascending."""
        key = (provider, role)
        if key not in self._places:
            roles = ROLES[provider]
            self._places[key] = [
                n for n, slot in enumerate(self.slots) if role in roles[slot.letter]
            ]
        return self._places[key]


def _shuffled(generator: random.Random) -> list[tuple[int, int]]:
    """The (thread, step) of each place of a block, newest first."""
    weighted: list[tuple[float, int, int]] = []
    for thread, (kind, pattern, _) in enumerate(_THREADS):
        centre = generator.uniform(0, BLOCK)
        # A reply follows within some messages; a note to oneself arrives at once.
        spread = 0.001 if kind is Kind.SELF else 20.0
        offsets = sorted(generator.uniform(0, spread) for _ in pattern)
        weighted += [(-(centre + at), thread, step) for step, at in enumerate(offsets)]
    return [(thread, step) for _, thread, step in sorted(weighted)]


class Layouts:
    """All shuffles of one seed: `of(variant, parity)`."""

    def __init__(self, seed: int) -> None:
        self._layouts: list[tuple[Layout, Layout]] = []
        for variant in range(VARIANTS):
            order = _shuffled(random.Random(f"{seed}/{variant}"))
            self._layouts.append((self._side(order, 0), self._side(order, 1)))

    @staticmethod
    def _side(order: list[tuple[int, int]], parity: int) -> Layout:
        slots = []
        for thread, step in order:
            kind, even, odd = _THREADS[thread]
            pattern = odd if parity else even
            is_shared = kind in (Kind.SHARED, Kind.INTERNAL)
            slots.append(Slot(kind, thread, step, pattern[step], pattern, is_shared))
        return Layout(slots)

    def of(self, variant: int, parity: int) -> Layout:
        return self._layouts[variant][parity]

    def per_block(self, provider: str, role: str) -> int:
        return len(self._layouts[0][0].places(provider, role))


def ascending_from(places: list[int], first: int) -> Iterator[int]:
    return iter(places[bisect_left(places, first) :])


def block_size() -> int:
    return sum(len(even) for _, even, _ in _THREADS)


assert block_size() == BLOCK, block_size()
