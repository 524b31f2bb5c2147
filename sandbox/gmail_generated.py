"""Further mail for the capture mailbox, for measurements: message n is a function of (seed, n).

Of ten messages six are BCC copies and four are forwards (two as Gmail, one as Outlook, one as
Apple Mail), from all reps in turn to or of one of their customers' people, each with a Message-ID
of its own. None of it lies in a Nylas mailbox.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.header import Header
from functools import lru_cache
from zoneinfo import ZoneInfo

from sandbox import forwarding, people
from sandbox.forwarding import Original
from sandbox.gmail_letters import arrived, date_header
from sandbox.hashing import mix, mix_of
from sandbox.world import HOUR, Party, World

_CLIENTS = {6: "gmail", 7: "gmail", 8: "outlook", 9: "apple"}


@lru_cache(maxsize=4_096)
def _encoded(text: str) -> str:
    return text if text.isascii() else Header(text, "utf-8").encode()


def _address(party: Party) -> str:
    name = party["name"]
    shown = f'"{name}"' if name.isascii() else _encoded(name)
    return f"{shown} <{party['email']}>"


def raw(world: World, account: str, n: int, at: int) -> bytes:
    """Message n as it arrived at `at` (milliseconds).

    Put together by hand, since the library takes a hundred times as long.
    """
    noise = mix_of(world.seed, 71, n)
    rep = world.persona(n % world.size)
    company = world.book(rep.index)[noise % len(world.book(rep.index))]
    contact = company.contacts[(noise >> 8) % len(company.contacts)]
    them, me = contact.parties[0], world.party(rep.index)
    subjects = people.SUBJECTS[contact.language]
    subject = subjects[(noise >> 16) % len(subjects)].format(n=n, c=company.name)
    sentences = people.SENTENCES[contact.language]
    chosen = (mix(noise + step) % len(sentences) for step in range(3))
    text = "\n\n".join(dict.fromkeys(sentences[place] for place in chosen)) + f"\n\n{n}"
    client = _CLIENTS.get(n % 10)
    to, html = them, None
    if client is not None:
        sent_at = datetime.fromtimestamp(at // 1000 - HOUR, UTC).astimezone(ZoneInfo(rep.time_zone))
        original = Original(
            sender=them, to=[me], cc=[], subject=subject, sent_at=sent_at, text=text
        )
        made = forwarding.written(original, client, "en", "")
        to, subject, text, html = {"name": "", "email": account}, made.subject, made.text, made.html
    head = {
        "Date": date_header(datetime.fromtimestamp(at // 1000 - 2, UTC)),
        "From": _address(me),
        "To": _address(to) if to["name"] else to["email"],
        "Subject": _encoded(subject),
        "Message-ID": f"<{mix(noise):016x}.{n}@{people.DOMAIN}>",
        "MIME-Version": "1.0",
    }
    content = _assembled(head, text, html, f"{noise:016x}")
    return arrived(content, account=account, sender=rep.email, at=at)


def _assembled(head: dict[str, str], text: str, html: str | None, boundary: str) -> bytes:
    lines = [f"{name}: {value}" for name, value in head.items()]
    plain = ["Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit", "", text]
    if html is None:
        lines += plain
    else:
        lines += [f'Content-Type: multipart/alternative; boundary="{boundary}"', ""]
        lines += [f"--{boundary}", *plain, f"--{boundary}"]
        lines += ["Content-Type: text/html; charset=utf-8", "Content-Transfer-Encoding: 8bit", ""]
        lines += [html, f"--{boundary}--", ""]
    return "\n".join(lines).replace("\r\n", "\n").replace("\n", "\r\n").encode()
