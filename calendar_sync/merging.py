"""Two versions of one thing and what they last agreed on: what each side takes from the other.

For each field there are two memories: what the item held here when both sides last agreed, and
what the event said there. They may differ for good, since providers turn text into HTML, cut
titles and round times; only a difference from a side's own memory is a change. The memories are
fingerprints: nothing of the content is kept twice.
"""

from hashlib import blake2b
from typing import Any

import msgspec
from msgspec import Struct, field

from crm_sync.providers.types import EventTime

#: The card (name, phone, address of the contact, below the line) goes out and never comes in.
FIELDS = ("title", "time", "location", "note", "card")


class Content(Struct, frozen=True):
    """What a calendar shows of an item, in one form for both sides."""

    title: str
    time: EventTime
    location: str
    note: str
    card: str


Prints = dict[str, str]


class Agreed(Struct):
    """Fingerprints by field: `here` and `there` as both sides agreed; `sent` is what a write of
    ours carried whose answer has not been seen."""

    here: Prints = field(default_factory=dict)
    there: Prints = field(default_factory=dict)
    sent: Prints = field(default_factory=dict)

    @classmethod
    def read(cls, stored: dict[str, Any]) -> "Agreed":
        return msgspec.convert(stored, cls)

    def written(self) -> dict[str, Any]:
        stored: dict[str, Any] = msgspec.to_builtins(self)
        return stored


class Merge(Struct, frozen=True):
    """What happens to each field: the CRM takes the event's, or the event gets the CRM's.

    `overwritten_here` and `overwritten_there` are fields that both sides changed, by whose version
    is lost. `agreed` is what is remembered; of the fields that are taken `here` is not yet known.
    """

    take: tuple[str, ...]
    give: tuple[str, ...]
    overwritten_here: tuple[str, ...]
    overwritten_there: tuple[str, ...]
    agreed: Agreed


def merge(here: Prints, there: Prints, agreed: Agreed, *, is_newer_here: bool) -> Merge:
    """Field by field; the newer change wins where both sides changed the same one."""
    take, give, lost_here, lost_there = [], [], [], []
    new = Agreed(dict(agreed.here), dict(agreed.there), dict(agreed.sent))
    for name in FIELDS:
        if new.sent.get(name) == there[name]:
            # Our own write has arrived, though its answer never reached us.
            new.here[name], new.there[name] = new.sent.pop(name), there[name]
        has_changed_here = here[name] != new.here.get(name)
        has_changed_there = there[name] != new.there.get(name)
        if here[name] == there[name]:
            new.here[name], new.there[name] = here[name], there[name]
        elif name == "card" and not has_changed_here:
            continue
        elif has_changed_there and not (has_changed_here and (is_newer_here or name == "card")):
            take.append(name)
            lost_here += [name] if has_changed_here else []
            new.there[name] = there[name]
        elif has_changed_here:
            give.append(name)
            lost_there += [name] if has_changed_there else []
            # Decided: from now on this version of theirs is known.
            new.there[name] = there[name]
    if "note" in give and "card" not in give and here["card"] != there["card"]:
        # The two are one text in the mail app: whoever writes the one writes the other.
        give.append("card")
        lost_there.append("card")
        new.there["card"] = there["card"]
    return Merge(tuple(take), tuple(give), tuple(lost_here), tuple(lost_there), new)


def prints(content: Content) -> Prints:
    """The fingerprint of each field. Blanks and empty lines make no difference."""
    return {
        "title": _print(" ".join(content.title.split())),
        "time": _time_print(content.time),
        "location": _print(" ".join(content.location.split())),
        "note": _print(_lines(content.note)),
        "card": _print(" ".join(content.card.split())),
    }


def _lines(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(filter(None, lines))


def _print(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _time_print(when: EventTime) -> str:
    """Whole seconds, as providers keep them. The zone's name says nothing about when."""
    if when.first_day is not None:
        return f"{when.first_day}/{when.last_day or when.first_day}"
    if when.starts_at is None:
        return ""
    end = when.ends_at or when.starts_at
    return f"{int(when.starts_at.timestamp())}/{int(end.timestamp())}"
