"""Passes in the foreground: what the command `sync` needs to know of each thing that is read."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import models
from tqdm import tqdm

from accounts.models.mailboxes import Schedule
from accounts.passes import PassReport
from accounts.system_settings import Settings

#: Seconds for which another reader is waited for.
PATIENCE = 15 * 60
#: Seconds between two looks at a lease that another reader holds.
LOOK_AGAIN = 0.5

#: Told what was listed (a folder's name) and how many items that were.
Listed = Callable[[str, int], None]


class NotRead(Exception):
    """The pass could not be made at all; the message is a sentence."""


@dataclass(frozen=True)
class Part:
    """One kind of thing that is read; each room describes its own.

    `rows` are those that a pass can be made over; `addressed` narrows them to one mailbox's
    address. `read` makes one pass. `place` is what a problem names: “folder”.
    """

    option: str
    help: str
    rows: Callable[[], models.QuerySet[Any]]
    addressed: Callable[[str], models.Q]
    title: Callable[[Any], str]
    read: Callable[[Any, Settings, Listed], PassReport]
    place: str
    not_connected: str
    #: Why nothing of this kind is read at present; "" where it is.
    switched_off: Callable[[Settings], str] = lambda settings: ""


class Progress(tqdm):  # type: ignore[misc]
    """A bar of what was listed of one thing; none where nobody watches."""

    def __init__(self, title: str, unit: str = "messages") -> None:
        super().__init__(desc=title, unit=f" {unit}", disable=None)

    def listed(self, place: str, number: int) -> None:
        self.set_postfix_str(place, refresh=False)
        self.update(number)


def read_whole(part: Part, row: Schedule, *, settings: Settings, listed: Listed) -> PassReport:
    """Passes over one row until one had time enough for all; the last one's report.

    Raises NotRead where the row is switched off meanwhile, or another reader keeps it too long.
    """
    report = _read_once(part, row, settings=settings, listed=listed)
    while not report.result.is_finished:
        report = _read_once(part, row, settings=settings, listed=listed)
    return report


def _read_once(part: Part, row: Schedule, *, settings: Settings, listed: Listed) -> PassReport:
    """A pass, after whoever reads this row now has done so."""
    waiting_since = time.monotonic()
    while (current := part.rows().filter(pk=row.pk).first()) is not None:
        report = part.read(current, settings, listed)
        if report.outcome not in {None, "abandoned"}:
            return report
        if time.monotonic() - waiting_since > PATIENCE:
            raise NotRead("It is being read by another process.")
        time.sleep(LOOK_AGAIN)
    raise NotRead("It was switched off meanwhile.")
