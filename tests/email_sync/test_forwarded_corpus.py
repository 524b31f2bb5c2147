"""The parser of forwarded mail against mail as clients really write it: tests/data/forwarded.

Each case is a raw message and what a careful person reads in it (README.md there says how). A case
that fails, fails its own test, so what is green here is the share that we claim: all of it.
"""

import html
import json
import re
import unicodedata
import unittest
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from email import message_from_bytes
from email.header import Header, decode_header, make_header
from email.policy import compat32
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from email_sync import forwarded

FOLDER = Path(__file__).resolve().parent.parent / "data" / "forwarded"
REP = "mia.berg@northsound.example"
LANGUAGES = (
    "da de en es et fi fr hr hu it nl no pl pt pt-br ro ru sk sv tr uk cs "
    "ja zh-hans zh-hant ko ar he el"
).split()
# Below this the forward goes to the review list instead of a contact's record.
UNSURE = 0.6


@dataclass(frozen=True, eq=False)
class Case:
    name: str
    raw: bytes = field(repr=False)
    expected: dict = field(repr=False)

    @property
    def variants(self) -> list[str]:
        return ["as-is", "crlf", *self.expected["variants"]]

    def as_variant(self, variant: str) -> bytes:
        return VARIANTS[variant](self.raw)


@cache
def cases() -> tuple[Case, ...]:
    return tuple(
        Case(path.stem, path.with_suffix(".eml").read_bytes(), json.loads(path.read_text("utf-8")))
        for path in sorted(FOLDER.glob("*.json"))
    )


# --- the same mail in other clothes --------------------------------------------------------------


def with_crlf(raw: bytes) -> bytes:
    """As it travels: Git may have changed the line ends of the file, either way."""
    return re.sub(rb"\r?\n", b"\r\n", raw)


# Writes what it has read: no ">" before "From ", no lines folded anew.
UNTOUCHED = compat32.clone(mangle_from_=False, max_line_length=None)


def without_prefix(raw: bytes) -> bytes:
    """The rep has edited the prefix (or several) out of the subject; all else stays as it is."""
    headers, blank_line, rest = raw.partition(b"\n\n")
    subject = str(make_header(decode_header(message_from_bytes(raw)["Subject"])))
    while (bare := re.sub(r"^\s*[^\s:：]{1,5}\s?[:：]\s*", "", subject)) != subject:
        subject = bare
    line = b"Subject: " + Header(subject, "utf-8").encode().encode()
    headers = re.sub(rb"^Subject:.*(\n[ \t].*)*", lambda _: line, headers, count=1, flags=re.M)
    return headers + blank_line + rest


def with_one_part(raw: bytes, content_type: str) -> bytes:
    """Only the text or only the HTML of multipart/alternative is left."""
    message = message_from_bytes(raw, policy=UNTOUCHED)
    part = next(part for part in message.walk() if part.get_content_type() == content_type)
    for name in ("Content-Type", "Content-Transfer-Encoding"):
        del message[name]
        if name in part:
            message[name] = part[name]
    message.set_payload(part.get_payload())
    return message.as_bytes()


VARIANTS = {
    "as-is": lambda raw: raw,
    "crlf": with_crlf,
    "no-prefix": without_prefix,
    "text-only": lambda raw: with_one_part(raw, "text/plain"),
    "html-only": lambda raw: with_one_part(raw, "text/html"),
}


ALL = [(case, variant) for case in cases() for variant in case.variants]
IDS = [f"{case.name}-{variant}" for case, variant in ALL]


# --- comparing -----------------------------------------------------------------------------------


def squash(text: str | None) -> str:
    """Runs of blanks are one blank; marks that nobody sees are none."""
    visible = "".join(c for c in text or "" if unicodedata.category(c) != "Cf" or c == "\u200d")
    return " ".join(visible.split())


def person(found) -> tuple[str, str]:
    if found is None:
        return "", ""
    if isinstance(found, dict):
        return found["address"].lower(), squash(found["name"])
    return (found.address or "").lower(), squash(found.name)


def people(found) -> list[tuple[str, str]]:
    return [person(one) for one in found]


def differences(expected: dict, got, *, lowest: float) -> list[str]:
    """One line for each field that is not as expected."""
    found: list[str] = []

    def compare(field: str, want, have) -> None:
        if want != have:
            found.append(f"{field}: expected {want!r}, got {have!r}")

    if expected["forwarded"] is not None:
        compare("forwarded", expected["forwarded"], got.forwarded)
        compare("number of originals", len(expected["originals"]), len(got.originals))
    if expected["message"] is not None:
        compare("message", squash(expected["message"]), squash(got.message))
    highest = expected["confidence"][1]
    if not lowest <= got.confidence <= highest:
        found.append(f"confidence: expected {lowest} to {highest}, got {got.confidence}")
    for number, (want, have) in enumerate(zip(expected["originals"], got.originals, strict=False)):
        field = f"original {number + 1}, "
        compare(field + "from", person(want["from"]), person(have.from_))
        compare(field + "to", people(want["to"]), people(have.to))
        compare(field + "cc", people(want["cc"]), people(have.cc))
        compare(field + "subject", squash(want["subject"]), squash(have.subject))
        compare(field + "date text", squash(want["date_text"]), squash(have.date_text))
        compare(field + "date", want["date"] and datetime.fromisoformat(want["date"]), have.date)
        body = squash(have.body)
        if not body.startswith(squash(want["body_starts"])):
            found.append(f"{field}body: expected {want['body_starts']!r} …, got {body[:80]!r} …")
        found += [f"{field}body lacks {t!r}" for t in want["body_has"] if squash(t) not in body]
        found += [f"{field}body has {t!r}" for t in want["body_lacks"] if squash(t) in body]
    return found


@cache
def parsed(case: Case, variant: str):
    return forwarded.parse(case.as_variant(variant), mailbox=case.expected["mailbox"])


@pytest.mark.parametrize(("case", "variant"), ALL, ids=IDS)
def test_reads_what_a_person_reads(case, variant):
    got = parsed(case, variant)
    lowest = case.expected["confidence"][0]
    if variant not in ("as-is", "crlf"):
        # With less to go by it may be less sure of itself, but not unsure.
        lowest = min(lowest, UNSURE)
    problems = differences(case.expected, got, lowest=lowest)
    assert not problems, "\n".join(
        [case.expected["quirk"], f"method: {got.method}, confidence: {got.confidence}", *problems]
    )


def credited_wrongly(case: Case, variant: str) -> set[str]:
    got = parsed(case, variant)
    right = {person(original["from"])[0] for original in case.expected["originals"]}
    credited = {person(original.from_)[0] for original in got.originals} - {""}
    if got.forwarded and got.confidence >= UNSURE:
        return credited - right
    return credited & {REP, case.expected["mailbox"]} - right


def test_nobody_else_is_ever_credited():
    """Where the parser is sure enough to act, the sender is right; never is it the rep or us."""
    wrong = {name: credited_wrongly(*run) for name, run in zip(IDS, ALL, strict=True)}
    assert {name: people for name, people in wrong.items() if people} == {}


# --- damage --------------------------------------------------------------------------------------


NOT_CHAINS = [case for case in cases() if not case.name.startswith("chain-")]


def head(raw: bytes) -> bytes:
    return raw.partition(b"\n\n")[0]


@st.composite
def damage(draw: st.DrawFn) -> tuple[Case, bytes]:
    """A case with pieces cut out, doubled or put in; in half of them the headers stay whole.

    Not a chain: there the rep wrote one of the mails below, and may be all that is left of it.
    """
    case = draw(st.sampled_from(NOT_CHAINS))
    raw = case.raw
    first = draw(st.sampled_from([0, len(head(raw)) + 2]))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(min(first, len(raw)), len(raw)))
        end = min(len(raw), at + draw(st.integers(1, 400)))
        piece = draw(
            st.sampled_from([b"", raw[at:end] * 2])
            | st.binary(max_size=40)
            | st.sampled_from(
                [b"\n\n", b"\r", b"\x00", b">", b"<", b'"', b"<div>", b"--", b"From: "]
            )
        )
        raw = raw[:at] + piece + raw[end if draw(st.booleans()) else at :]
    return case, raw


def views(raw: bytes) -> Iterator[str]:
    """What a reader could see in the mail: its source, and each part as text without tags."""
    yield raw.decode("latin-1")
    for part in message_from_bytes(raw).walk():
        if not part.is_multipart():
            payload = part.get_payload(decode=True)
            text = payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""
            yield html.unescape(re.sub(r"<[^>]*>", " ", text))


def mentions(raw: bytes, address: str) -> set[tuple[bool, str]]:
    """What stands before each mention of the address; in the source and in the parts apart."""
    return {
        (number == 0, squash(before)[-40:])
        for number, view in enumerate(views(raw))
        for before in view.split(address)[:-1]
    }


def is_said(address: str, case: Case, raw: bytes) -> bool:
    """Whether the damage may have moved the address behind the label of the sender.

    Then the mail does say so, and no parser could tell: broken headers read like a forwarded
    block, broken base64 may mean anything.
    """
    found = mentions(raw, address)
    is_readable = any(not in_source for in_source, _ in found)
    is_moved = not found <= mentions(case.raw, address)
    return is_moved or not is_readable or head(raw) != head(case.raw)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(damaged=damage())
def test_damaged_mail_never_raises_and_never_credits_the_rep(damaged):
    case, raw = damaged
    # An exception that the parser caught and logged is a bug as well.
    with unittest.TestCase().assertNoLogs("email_sync", "ERROR"):
        got = forwarded.parse(raw, mailbox=case.expected["mailbox"])

    right = {person(original["from"])[0] for original in case.expected["originals"]}
    credited = {person(original.from_)[0] for original in got.originals}
    wrong = credited & {REP, case.expected["mailbox"]} - right
    if got.confidence >= UNSURE:
        assert {address for address in wrong if not is_said(address, case, raw)} == set()


# --- the corpus itself ---------------------------------------------------------------------------


def test_the_corpus_covers_what_it_claims():
    expected = [case.expected for case in cases()]
    clients_of = {
        language: {e["client"] for e in expected if e["language"] == language}
        for language in LANGUAGES
    }
    kinds = Counter(e["forwarded"] for e in expected)

    assert len(expected) >= 450
    assert len({e["client"] for e in expected}) >= 40
    assert {language for language, found in clients_of.items() if len(found) < 3} == set()
    assert kinds[True] > 300
    assert kinds[False] > 25


def test_every_case_is_whole_and_names_only_invented_people():
    assert {p.stem for p in FOLDER.glob("*.eml")} == {case.name for case in cases()}
    for case in cases():
        listed = [p for o in case.expected["originals"] for p in [o["from"], *o["to"], *o["cc"]]]
        domains = {person(p)[0].rpartition("@")[2] for p in listed} - {""}
        assert all(domain.endswith(".example") for domain in domains), case.name
        assert case.expected["quirk"].endswith("."), case.name
        assert set(case.expected["variants"]) <= set(VARIANTS), case.name
