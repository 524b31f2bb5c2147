"""The generated world: the same for a seed, believable, read page by page without loss."""

from __future__ import annotations

import csv
import itertools
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.hashing import mix, unmix
from sandbox.mailboxes import Mailbox
from sandbox.messages import decode_cursor, matching, page_of
from sandbox.samples import CONTACT_COLUMNS, USER_COLUMNS
from sandbox.state import Sandbox
from sandbox.world import World
from tests.sandbox.conftest import ANCHOR, LENA, MIA, ROOT, SAM, Server

NOW = 1_773_619_200  # ANCHOR


def make_world(**changes: int) -> World:
    shape = {"seed": 1, "anchor": NOW, "mailboxes": 6, "messages": 400, "history_days": 45}
    return World(**{**shape, **changes})


WORLD = make_world()


# --- the same for a seed --------------------------------------------------------------------------


def test_same_seed_same_pages_in_two_processes(
    start: Callable[..., Server], server: Server
) -> None:
    twin = start("--anchor", ANCHOR)
    other = start("--anchor", ANCHOR, "--seed", "2")
    path = "/v3/grants/noah.moreau@northsound.example/messages"
    query = {"limit": 100, "fields": "include_headers"}
    first = server.get(path, **query).json()["data"]
    assert twin.get(path, **query).json()["data"] == first
    assert (
        twin.get("/sandbox/world").json()["customers"]
        == (server.get("/sandbox/world").json()["customers"])
    )
    theirs = other.get(f"/v3/grants/{SAM}/messages", **query).json()["data"]
    ours = twin.get(f"/v3/grants/{SAM}/messages", **query).json()["data"]
    assert {m["subject"] for m in ours} != {m["subject"] for m in theirs}
    assert not {m["id"] for m in ours} & {m["id"] for m in theirs}


@given(st.integers(0, 2**64 - 1))
def test_scrambling_can_be_undone(number: int) -> None:
    assert unmix(mix(number)) == number


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 5), st.integers(0, 399))
def test_every_id_leads_back_to_its_message(index: int, i: int) -> None:
    mailbox = Mailbox(WORLD, index)
    mail = mailbox.mail(i)
    assert mail is not None
    found = mailbox.find(mailbox.id_of(i))
    assert found == mail
    assert i in [member.uid for member in mailbox.members(mail.thread)]
    assert mailbox.find_thread(mailbox.thread_id_of(mail.thread)) == mail.thread
    if mail.message_id is not None:
        again = mailbox.find_by_message_id(mail.message_id)
        assert again is not None
        assert again.message_id == mail.message_id


@pytest.mark.parametrize(("messages", "days"), [(400, 45), (1, 1), (37, 3), (20_000, 30)])
def test_dates_fall_and_stay_within_the_history(messages: int, days: int) -> None:
    world = make_world(messages=messages, history_days=days)
    dates = [world.date(2, i) for i in range(messages)]
    assert all(newer > older for newer, older in itertools.pairwise(dates))
    assert dates[0] < NOW
    assert dates[-1] >= NOW - days * 86_400
    for i in range(0, messages, max(1, messages // 50)):
        assert world.first_not_newer(2, dates[i]) == i
        assert world.first_not_newer(2, dates[i] - 1) == i + 1


# --- believable -----------------------------------------------------------------------------------


def test_half_of_the_personas_are_authorised_and_mia_is_not(server: Server) -> None:
    for count in (1, 2, 5, 6, 11):
        sandbox = Sandbox(make_world(mailboxes=count))
        assert len(sandbox.grants) == count // 2
        assert sandbox.grant_of(0) is None
    grants = server.get("/v3/grants", limit=200).json()["data"]
    assert {SAM, LENA} <= {grant["email"] for grant in grants}


def test_both_providers_name_folders_in_their_way(server: Server) -> None:
    google = server.get(f"/v3/grants/{LENA}/folders").json()["data"]
    microsoft = server.get(f"/v3/grants/{SAM}/folders").json()["data"]
    assert {"INBOX", "SENT", "DRAFT", "TRASH", "SPAM", "Label_2"} <= {f["id"] for f in google}
    assert "Clients/Harbor" in {f["name"] for f in google}
    names = {f["name"]: f for f in microsoft}
    assert {"Inbox", "Sent Items", "Deleted Items", "Junk Email"} <= names.keys()
    assert names["Harbor"]["parent_id"] == names["Clients"]["id"]
    assert names["Clients"]["child_count"] == 1


@pytest.mark.parametrize("mailbox", [SAM, LENA])
def test_folder_counts_are_the_messages_in_them(server: Server, mailbox: str) -> None:
    for folder in server.get(f"/v3/grants/{mailbox}/folders").json()["data"]:
        query = {"in": folder["id"], "select": "id,unread,folders"}
        found = server.all_messages(mailbox, **query)
        assert len(found) == folder["total_count"], folder["name"]
        assert sum(message["unread"] for message in found) == folder["unread_count"]
        assert all(folder["id"] in message["folders"] for message in found)


def test_a_mailbox_is_a_believable_mixture() -> None:
    world = make_world()
    known = {
        party["email"]
        for company in world.customers
        for contact in company.contacts
        for party in contact.parties
    }
    mailbox = Mailbox(world, 0)
    mails = list(mailbox.walk())
    with_contacts = [
        mail
        for mail in mails
        if any(party["email"] in known for party in (*mail.sender, *mail.to, *mail.cc))
    ]
    assert 0.2 <= len(with_contacts) / len(mails) <= 0.35
    assert any(mail.subject.startswith("Re: ") and mail.references for mail in mails)
    assert any(mail.bcc for mail in mails)
    assert any(len(mail.to) + len(mail.cc) > 1 for mail in mails)
    assert any(not mail.sender[0]["name"].isascii() for mail in mails)
    assert any(not mail.subject.isascii() for mail in mails)
    assert any(mail.sender[0]["email"].startswith("noreply@") for mail in mails)
    assert any("m.berg@northsound.example" in [p["email"] for p in mail.to] for mail in mails)
    folders = Counter(folder for mail in mails for folder in mail.folders)
    assert all(folders[folder] for folder in ("INBOX", "SENT", "DRAFT", "TRASH", "SPAM", "Label_2"))
    assert any(len(mail.folders) > 1 for mail in mails)


def test_some_message_has_no_message_id() -> None:
    world = make_world(messages=300)
    missing = [
        mail for index in range(6) for mail in Mailbox(world, index).walk() if not mail.message_id
    ]
    assert missing


def test_a_reply_answers_an_earlier_message_of_its_thread() -> None:
    mailbox = Mailbox(make_world(), 1)
    replies = 0
    for mail in mailbox.walk():
        if mail.in_reply_to is None:
            continue
        parent = mailbox.find_by_message_id(mail.in_reply_to)
        if parent is not None:
            replies += 1
            assert parent.date < mail.date
            assert parent.thread == mail.thread
    assert replies > 20


def test_colleagues_have_the_same_message() -> None:
    """Also a customer's message that was copied to the colleague: one Message-ID, two mailboxes."""
    world = make_world()
    mine = {m.message_id: m for m in Mailbox(world, 0).walk() if m.message_id}
    theirs = {m.message_id: m for m in Mailbox(world, 1).walk() if m.message_id}
    shared = mine.keys() & theirs.keys()
    assert len(shared) > 40
    for message_id in shared:
        one, other = mine[message_id], theirs[message_id]
        assert (one.date, one.subject, one.sender) == (other.date, other.subject, other.sender)
        assert (one.to, one.cc) == (other.to, other.cc)


def test_a_note_to_oneself(server: Server) -> None:
    """Google: one message with two labels. Microsoft: two messages with one Message-ID."""
    google = [m for m in server.truth(LENA) if set(m["roles"]) == {"sent", "inbox"}]
    assert google
    notes = Counter(
        m["message_id"]
        for m in server.truth(SAM)
        if sender(m) == SAM and [p["email"] for p in m["to"]] == [SAM]
    )
    assert 2 in notes.values()


# --- reading by pages -----------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [7, 50, 200])
@pytest.mark.parametrize("mailbox", [SAM, LENA])
def test_paging_covers_each_message_once(server: Server, mailbox: str, limit: int) -> None:
    listed = server.all_messages(mailbox, limit=limit, select="id,date")
    assert [m["id"] for m in listed] == [m["id"] for m in server.truth(mailbox)]
    assert len({m["id"] for m in listed}) == len(listed)
    dates = [m["date"] for m in listed]
    assert dates == sorted(dates, reverse=True)


def test_paging_while_mail_arrives_loses_and_doubles_nothing(server: Server) -> None:
    before = {m["id"] for m in server.truth(LENA)}
    seen: list[str] = []
    cursor: str | None = None
    while True:
        params = {"limit": 30, "select": "id", **({"page_token": cursor} if cursor else {})}
        page = server.get(f"/v3/grants/{LENA}/messages", **params).json()
        seen += [m["id"] for m in page["data"]]
        server.deliver(LENA, "meanwhile")
        server.deliver(LENA, "meanwhile, but older", date=NOW - 20 * 86_400)
        cursor = page.get("next_cursor")
        if cursor is None:
            break
    assert len(seen) == len(set(seen))
    assert before <= set(seen)


def test_the_window_excludes_its_bounds(server: Server) -> None:
    messages = server.truth(LENA)
    moment = messages[len(messages) // 2]["date"]
    after = server.all_messages(LENA, received_after=moment, select="id,date")
    assert len(after) == sum(m["date"] > moment for m in messages)
    before = server.all_messages(LENA, received_before=moment, select="id,date")
    assert len(before) == sum(m["date"] < moment for m in messages)


def test_messages_of_one_second_are_all_listed(server: Server) -> None:
    made = {server.deliver(SAM, f"same second {n}", date=NOW + 5)["id"] for n in range(7)}
    found = server.all_messages(SAM, limit=2, received_after=NOW + 4, received_before=NOW + 6)
    assert {m["id"] for m in found} == made


@pytest.mark.parametrize(
    ("params", "passes"),
    [
        ({"from": "j.ruiz@harbor.example"}, lambda m: sender(m) == "j.ruiz@harbor.example"),
        ({"to": SAM}, lambda m: SAM in [p["email"] for p in m["to"]]),
        ({"subject": "Offer"}, lambda m: "Offer" in m["subject"]),
        ({"unread": "true"}, lambda m: m["unread"]),
        ({"starred": "true"}, lambda m: m["starred"]),
        ({"has_attachment": "true"}, lambda m: bool(m["attachments"])),
        (
            {"any_email": "traffic@northsound.example, K.LEE@harbor.example"},
            lambda m: (
                {p["email"] for name in ("from", "to", "cc", "bcc") for p in m[name]}
                & {"traffic@northsound.example", "k.lee@harbor.example"}
            ),
        ),
    ],
)
def test_filters(server: Server, params: dict[str, str], passes: Callable[[Any], bool]) -> None:
    everything = server.all_messages(SAM)
    expected = [m["id"] for m in everything if passes(m)]
    assert [m["id"] for m in server.all_messages(SAM, limit=20, **params)] == expected


def sender(message: dict[str, Any]) -> str:
    return str(message["from"][0]["email"])


# --- what happened --------------------------------------------------------------------------------


def test_moving_changes_the_id_at_microsoft_only(server: Server) -> None:
    for mailbox, is_google in ((SAM, False), (LENA, True)):
        made = server.deliver(mailbox, "to be moved")
        moved = server.control("move", mailbox=mailbox, id=made["id"], folder="archive")
        assert (moved["id"] == made["id"]) is is_google
        old = server.get(f"/v3/grants/{mailbox}/messages/{made['id']}")
        assert old.status_code == (200 if is_google else 404)
        new = server.get(f"/v3/grants/{mailbox}/messages/{moved['id']}").json()["data"]
        assert (new["folders"], new["subject"]) == (moved["folders"], "to be moved")


def test_generated_messages_are_moved_and_deleted_too(start: Callable[..., Server]) -> None:
    world = start("--anchor", ANCHOR)
    before = world.truth(SAM, folder="inbox")
    moved, deleted, gone = before[3], before[5], before[8]
    world.control("move", mailbox=SAM, id=moved["message_id"], folder="Harbor")
    world.control("delete", mailbox=SAM, id=deleted["id"])
    world.control("delete", mailbox=SAM, id=gone["id"], hard=True)
    after = [m["message_id"] for m in world.truth(SAM, folder="inbox")]
    expected = [m["message_id"] for m in before if m not in (moved, deleted, gone)]
    assert after == expected
    harbor = world.truth(SAM, folder="Harbor")
    assert moved["message_id"] in [m["message_id"] for m in harbor]
    assert [m["date"] for m in harbor] == sorted((m["date"] for m in harbor), reverse=True)
    assert gone["message_id"] not in [m["message_id"] for m in world.truth(SAM)]
    for folder in world.get(f"/v3/grants/{SAM}/folders").json()["data"]:
        assert folder["total_count"] == len(world.truth(SAM, folder=folder["id"]))


def test_a_delivery_may_have_no_message_id_or_be_a_draft(server: Server) -> None:
    made = server.deliver(LENA, "nameless", message_id=None)
    assert made["message_id"] is None
    path = f"/v3/grants/{LENA}/messages/{made['id']}"
    assert server.get(path, fields="include_basic_headers").json()["data"]["headers"] == []
    draft = server.deliver(LENA, "unfinished", draft=True)
    assert draft["folders"] == ["DRAFT"]


# --- large worlds ---------------------------------------------------------------------------------


class CountingWorld(World):
    made = 0

    def mail(self, index: int, i: int) -> Any:
        self.made += 1
        return super().mail(index, i)


@pytest.mark.parametrize("role", ["inbox", "sent", "harbor", "drafts"])
def test_a_page_of_a_large_mailbox_makes_about_a_page_of_messages(role: str) -> None:
    world = CountingWorld(seed=3, anchor=NOW, mailboxes=10_000, messages=100_000, history_days=60)
    for index in (4_000, 9_999):
        mailbox = Mailbox(world, index)
        folder = mailbox.folder_of_role(role)
        world.made = 0
        params = {
            "in": folder,
            "received_after": NOW - 50 * 86_400,
            "received_before": NOW - 86_400,
        }
        page, cursor = page_of(matching(mailbox, params, None), 200)
        assert len(page) == 200
        assert cursor is not None
        assert all(folder in mail.folders for mail in page)
        second, _ = page_of(matching(mailbox, params, decode_cursor(cursor)), 200)
        assert world.made <= 410
        assert second[0].date < page[-1].date
        world.made = 0
        assert mailbox.find(mailbox.id_of(99_999)) is not None
        total, _ = mailbox.count(mailbox.folders[folder or ""])
        assert total > 1_000
        assert world.made < 250


def test_ten_thousand_mailboxes_start_at_once(start: Callable[..., Server]) -> None:
    began = time.monotonic()
    large = start("--mailboxes", "10000", "--messages", "100000")
    assert time.monotonic() - began < 30  # a second on an idle machine
    grants = large.get("/v3/grants", limit=3, offset=4_000, order_by="asc").json()["data"]
    assert len(grants) == 3
    inbox = large.folder(grants[0]["email"], "inbox")
    answer = large.get(f"/v3/grants/{grants[0]['id']}/messages", **{"in": inbox, "limit": 200})
    assert len(answer.json()["data"]) == 200


# --- sample files ---------------------------------------------------------------------------------


def write_samples(directory: Path, *arguments: str) -> tuple[list[dict[str, str]], ...]:
    command = [sys.executable, "-m", "sandbox", "--write-sample", str(directory), *arguments]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = printed.split()
    assert [Path(path).name for path in paths] == ["users.csv", "contacts.csv"]
    tables = []
    for path in paths:
        with open(path, encoding="utf-8", newline="") as file:
            tables.append(list(csv.DictReader(file)))
    return tuple(tables)


def test_sample_files_know_the_people_in_the_mail(tmp_path: Path, server: Server) -> None:
    users, contacts = write_samples(tmp_path, "--anchor", ANCHOR)
    assert list(users[0]) == USER_COLUMNS
    assert list(contacts[0]) == CONTACT_COLUMNS
    names = {user["username"]: user for user in users}
    assert {"mia", "sam", "yuki", "lena", "ada"} <= names.keys()
    assert names["mia"]["email"] == MIA
    assert names["mia"]["aliases"] == "m.berg@northsound.example"
    assert (names["lena"]["role"], names["ada"]["role"]) == ("manager", "admin")
    assert all(user["manager"] in ("", "lena") for user in users)
    personas = server.get("/sandbox/world").json()["personas"]
    assert [p["email"] for p in personas] == [user["email"] for user in users]

    assert len({row["customer_number"] for row in contacts}) == 12
    addresses = [row["email"] for row in contacts]
    assert len(set(addresses)) == len(addresses)
    people = Counter((r["customer_number"], r["first_name"], r["last_name"]) for r in contacts)
    assert 2 in people.values(), "nobody has two addresses"
    flagged = {u for row in contacts for u in row["my_contact_of"].split(";") if u}
    assert flagged <= names.keys()

    flags = {row["email"]: row["my_contact_of"].split(";") for row in contacts}
    reasons: Counter[str] = Counter()
    for message in server.truth(SAM):
        parties = [p["email"] for name in ("from", "to", "cc", "bcc") for p in message[name]]
        outside = [p for p in parties if p and not p.endswith("northsound.example")]
        known = [p for p in outside if p in flags]
        if any("sam" in flags[p] for p in known):
            reasons["matched"] += 1
        elif known:
            reasons["not-my-contact"] += 1
        elif outside:
            reasons["unknown-address"] += 1
        else:
            reasons["internal"] += 1
    assert all(reasons[r] > 5 for r in ("matched", "not-my-contact", "unknown-address", "internal"))


def test_sample_files_of_a_small_world_have_the_whole_cast(tmp_path: Path) -> None:
    users, _ = write_samples(tmp_path, "--mailboxes", "2")
    assert [user["username"] for user in users] == ["mia", "sam", "yuki", "lena", "ada"]


def test_names_are_unique_in_a_large_company() -> None:
    world = make_world(mailboxes=10_000)
    assert len({person.email for person in world.staff()}) == 10_000
    assert len({person.username for person in world.staff()}) == 10_000
    assert len({company.domain for company in world.customers}) == len(world.customers) > 100
