"""How far the first reading of a mailbox has come: an honest estimate, from plain values.

A listing runs from the newest message to the oldest, so the share of the time that it has covered
is the share of the work that is known; the number of messages still to come is only projected.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

# Below this share a projection would be a guess: one busy morning would promise a huge mailbox.
SMALLEST_SHARE_TO_PROJECT = 0.02
# Google shouts the names of its own labels.
_SYSTEM_LABELS = {"INBOX": "Inbox", "SENT": "Sent"}


@dataclass(frozen=True)
class FolderReading:
    """What the first listing of one folder has seen so far."""

    name: str
    seen: int
    oldest_seen: datetime | None
    is_done: bool


@dataclass(frozen=True)
class FolderProgress:
    name: str
    percent: int
    is_done: bool

    @property
    def words(self) -> str:
        name = _SYSTEM_LABELS.get(self.name, self.name)
        if self.is_done:
            return f"{name} done"
        return f"{name} {self.percent} %" if self.percent else f"{name} not begun"


@dataclass(frozen=True)
class Progress:
    """`expected` is None while too little has been read to say how many messages there are."""

    seen: int
    expected: int | None
    percent: int
    folders: tuple[FolderProgress, ...]

    @property
    def words(self) -> str:
        """As in “1,240 of about 1,900 messages, Inbox done, Sent 61 %”."""
        if not self.folders:
            return "the folders are being listed"
        if not self.seen and not any(folder.is_done for folder in self.folders):
            return "just begun"
        amount = f"{self.seen:,}"
        if self.expected is not None:
            amount += f" of about {self.expected:,}"
        plural = "message" if self.seen == 1 and self.expected is None else "messages"
        return ", ".join([f"{amount} {plural}", *(folder.words for folder in self.folders)])


def estimate(
    folders: Sequence[FolderReading], *, sync_from: datetime | None, now: datetime
) -> Progress:
    """The progress of a mailbox that is still being read for the first time.

    Never 100 %: the last per cent is for the pass to claim, when it has really ended.
    """
    shares = [_share(folder, sync_from, now) for folder in folders]
    expected: float | None = 0
    for folder, share in zip(folders, shares, strict=True):
        if expected is None or share < SMALLEST_SHARE_TO_PROJECT:
            expected = None
            break
        expected += folder.seen / share
    seen = sum(folder.seen for folder in folders)
    if expected:
        percent = 100 * seen / expected
    else:
        percent = 100 * sum(shares) / len(shares) if shares else 0
    return Progress(
        seen=seen,
        expected=max(seen, _rounded(expected)) if expected else None,
        percent=min(99, int(percent)),
        folders=tuple(
            FolderProgress(folder.name, min(99, int(100 * share)), folder.is_done)
            for folder, share in zip(folders, shares, strict=True)
        ),
    )


def _share(folder: FolderReading, sync_from: datetime | None, now: datetime) -> float:
    """The share of the time from now back to the start of the sync that the folder has covered."""
    if folder.is_done:
        return 1.0
    if folder.oldest_seen is None or sync_from is None or sync_from >= now:
        return 0.0
    covered = (now - folder.oldest_seen) / (now - sync_from)
    return min(1.0, max(0.0, covered))


def _rounded(number: float) -> int:
    """To two significant figures: more would pretend to a precision that is not there."""
    size = max(0, len(str(int(number))) - 2)
    return int(round(number, -size))
