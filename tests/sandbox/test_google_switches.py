"""The waiting mail, what the switches make happen, and that a restart keeps it all."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from google.auth.exceptions import RefreshError

from sandbox.gmail_letters import AUTHENTICATIONS
from tests.sandbox.conftest import ANCHOR, KEY, LENA, MIA, SAM, YUKI, Receiver, Server
from tests.sandbox.google_client import (
    INTAKE,
    JAVIER,
    SECOND,
    bearer,
    credentials_for,
    deliver,
    raw_of,
    service_for,
)

STORIES = 15


@pytest.fixture(scope="module")
def google() -> Iterator[Server]:
    running = Server("--anchor", ANCHOR)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def users(google: Server) -> Any:
    return service_for(google)


@pytest.fixture(scope="module")
def waiting(google: Server) -> dict[str, dict[str, Any]]:
    """What lies there from the start, by its story."""
    data = google.get("/sandbox/google/truth").json()["data"]
    return {m["note"]["story"]: m for m in data if m["internal_date"] <= 1_773_619_200_000}


def parsed(users: Any, message_id: str) -> EmailMessage:
    message = message_from_bytes(raw_of(users, message_id), policy=default)
    assert isinstance(message, EmailMessage)
    return message


def text_of(message: EmailMessage, kind: str = "plain") -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content())


def flagged_by(server: Server, username: str) -> set[str]:
    return {
        address
        for customer in server.get("/sandbox/world").json()["customers"]
        for contact in customer["contacts"]
        if username in contact["my_contact_of"]
        for address in contact["addresses"]
    }


# --- the waiting mail -----------------------------------------------------------------------------


def test_one_of_each_kind_waits(waiting: dict[str, dict[str, Any]]) -> None:
    assert len(waiting) == STORIES
    assert all("INBOX" in m["label_ids"] for m in waiting.values())


def test_bcc_copies_are_the_messages_of_the_sent_folder(
    google: Server, users: Any, waiting: dict[str, dict[str, Any]]
) -> None:
    for word, mailbox in (("connected", SAM), ("not connected", MIA)):
        [copy] = [m for s, m in waiting.items() if s.endswith(f"of a {word} mailbox")] or [
            m for s, m in waiting.items() if s.endswith(f"of a mailbox {word}")
        ]
        [sent] = [m for m in google.truth(mailbox) if m["message_id"] == copy["message_id"]]
        assert sent["roles"] == ["sent"]
        message = parsed(users, copy["id"])
        assert message["Subject"] == sent["subject"]
        assert [a.addr_spec for a in message["To"].addresses] == [p["email"] for p in sent["to"]]
        assert INTAKE not in str(message["To"]) + str(message.get("Cc", ""))
        assert message["Bcc"] is None
        assert abs(parsedate_to_datetime(message["Date"]).timestamp() - sent["date"]) < 60
        reader = "sam" if mailbox == SAM else "mia"
        assert {p["email"] for p in sent["to"]} & flagged_by(google, reader)


def test_the_sent_copy_at_nylas_has_the_same_text(
    google: Server, users: Any, waiting: dict[str, dict[str, Any]]
) -> None:
    copy = waiting["bcc, also in Sent of a connected mailbox"]
    [sent] = [m for m in google.truth(SAM) if m["message_id"] == copy["message_id"]]
    got = google.get(f"/v3/grants/{SAM}/messages/{sent['id']}").json()["data"]
    message = parsed(users, copy["id"])
    kind = "html" if "<p>" in got["body"] else "plain"
    assert text_of(message, kind).split() == got["body"].split()


def test_forwards_are_of_mail_in_the_reps_inbox(
    google: Server, users: Any, waiting: dict[str, dict[str, Any]]
) -> None:
    for story, mailbox in (
        ("fwd as Gmail", SAM),
        ("fwd as Outlook, in German", MIA),
        ("fwd as Apple Mail", YUKI),
        ("fwd as an attachment", SAM),
    ):
        forward = waiting[story]
        sender = forward["note"]["original_from"]
        assert forward["to"] == INTAKE
        assert any(
            "inbox" in m["roles"] and m["from"][0]["email"] == sender for m in google.truth(mailbox)
        )
        assert sender in str(parsed(users, forward["id"]))


def test_the_odd_ones(users: Any, waiting: dict[str, dict[str, Any]]) -> None:
    def message(story: str) -> EmailMessage:
        return parsed(users, waiting[story]["id"])

    assert message("bcc, from an alias, nowhere else")["From"].addresses[0].addr_spec == (
        "m.berg@northsound.example"
    )
    logged = message("a logged copy: the CRM in Cc beside a contact")
    assert logged["Cc"] == INTAKE
    assert INTAKE not in logged["To"]
    nested = text_of(message("fwd, nested: the contact had forwarded it"))
    assert nested.index("Forwarded message") < nested.index("_" * 32)
    assert "From:" not in text_of(message("fwd, without any block"))
    attribution = text_of(message("fwd, an attribution sentence only"))
    assert re.search(r"(?m)^On .* wrote:\r?$", attribution)
    assert "Subject:" not in attribution
    forged = message("in a rep's name, with a forged verdict further down")
    first, second = forged.get_all("Authentication-Results")
    assert "dmarc=fail" in first
    assert "dmarc=pass" not in first
    assert "dmarc=pass" in second
    assert message("an automatic reply")["Auto-Submitted"] == "auto-replied"
    [calendar] = [
        p for p in message("a calendar invitation, BCC").walk()
        if p.get_content_type() == "text/calendar"
    ]  # fmt: skip
    assert calendar.get_param("method") == "REQUEST"
    stranger = message("from somebody who is no user")
    assert not stranger["From"].addresses[0].addr_spec.endswith("northsound.example")
    assert "dmarc=pass" in stranger["Authentication-Results"]


def test_the_same_world_has_the_same_mail(
    google: Server, users: Any, waiting: dict[str, dict[str, Any]], start: Callable[..., Server]
) -> None:
    twin = start("--anchor", ANCHOR)
    of_twin = service_for(twin)
    for message in waiting.values():
        assert raw_of(of_twin, message["id"]) == raw_of(users, message["id"])
    other = start("--anchor", ANCHOR, "--seed", "2").get("/sandbox/google/truth").json()["data"]
    assert not {m["message_id"] for m in other} & {m["message_id"] for m in waiting.values()}


def test_a_small_world_has_what_it_can(start: Callable[..., Server]) -> None:
    small = start("--anchor", ANCHOR, "--mailboxes", "1", "--messages", "1")
    data = small.get("/sandbox/google/truth").json()["data"]
    assert 5 <= len(data) <= STORIES
    assert all(m["note"].get("rep", MIA) == MIA for m in data)


# --- delivering -----------------------------------------------------------------------------------


def test_parts_become_mime(google: Server, users: Any) -> None:
    made = deliver(
        google,
        "Ünïcode – 件名",
        **{"from": {"name": "Śam", "email": "sam.cole@northsound.example"}},
        to=[JAVIER],
        cc=[{"email": INTAKE}],
        text="Grüße\n",
        html="<p>Grüße</p>",
        headers={"X-Own": "1", "Date": "yesterday"},
        message_id=None,
        attachments=[{"filename": "a.bin", "content": base64.b64encode(b"\0\1").decode()}],
        at=1_773_000_000,
        labels=["INBOX"],
    )
    message = parsed(users, made["id"])
    assert message["From"].addresses[0].display_name == "Śam"
    assert (message["Subject"], message["X-Own"]) == ("Ünïcode – 件名", "1")
    assert message["Message-ID"] is None
    assert str(message["Date"]) == "yesterday"
    assert (text_of(message), text_of(message, "html")) == ("Grüße\r\n", "<p>Grüße</p>\r\n")
    [attached] = message.iter_attachments()
    assert attached.get_payload(decode=True) == b"\0\1"
    got = users.messages().get(userId="me", id=made["id"], format="minimal").execute()
    assert (got["internalDate"], got["labelIds"]) == ("1773000000000", ["INBOX"])


@pytest.mark.parametrize("authentication", AUTHENTICATIONS)
def test_googles_verdict(google: Server, users: Any, authentication: str) -> None:
    made = deliver(google, "Verdict", authentication=authentication)
    found = parsed(users, made["id"]).get_all("Authentication-Results", [])
    verdicts = [" ".join(str(value).split()) for value in found]
    words = [
        {name: re.search(rf"{name}=(\w+)", v)[1] for name in ("dkim", "spf", "dmarc")  # type: ignore[index]
         if f"{name}=" in v}
        for v in verdicts
    ]  # fmt: skip
    failed = {"dkim": "fail", "spf": "softfail", "dmarc": "fail"}
    passed = dict.fromkeys(failed, "pass")
    assert (
        words
        == {
            "pass": [passed],
            "fail": [failed],
            "none": [],
            "as-is": [],
            "dkim-only": [{"dkim": "pass", "spf": "softfail"}],
            "spf-only": [{"spf": "pass"}],
            "unaligned": [{"dkim": "pass", "spf": "pass", "dmarc": "fail"}],
            "forged": [failed, passed],
        }[authentication]
    )
    if authentication == "unaligned":
        assert "@northsound.example" not in verdicts[0]


def test_a_bounce_has_an_empty_return_path(google: Server, users: Any) -> None:
    made = deliver(google, "Undeliverable", envelope_from="")
    assert parsed(users, made["id"])["Return-Path"] == "<>"


@pytest.mark.parametrize(
    ("switch", "wish", "status"),
    [
        ("deliver", {"subject": "x"}, 400),
        ("deliver", {"from": JAVIER, "surprise": 1}, 400),
        ("deliver", {"from": JAVIER, "authentication": "maybe"}, 400),
        ("deliver", {"from": JAVIER, "labels": ["Nothing"]}, 400),
        ("deliver", {"from": JAVIER, "account": "who@northsound.example"}, 404),
        ("deliver", {"raw_base64": "?"}, 400),
        ("deliver", {"from": JAVIER, "headers": {"X-Bad": "a\nb"}}, 400),
        ("send", {"mailbox": "who@northsound.example", "to": [JAVIER]}, 404),
        ("send", {"mailbox": SAM, "to": [{"name": "x"}]}, 400),
        ("send", {"mailbox": SAM, "to": [JAVIER], "crm": "somewhere"}, 400),
        ("send", {"mailbox": SAM, "to": [JAVIER], "from": MIA}, 400),
        ("forward", {"mailbox": SAM, "client": "pine"}, 400),
        ("forward", {"mailbox": SAM, "language": "la"}, 400),
        ("forward", {"mailbox": SAM, "id": "nothing"}, 404),
        ("delete", {"id": "nothing"}, 404),
        ("label", {"id": "nothing"}, 404),
        ("generate", {"count": 0}, 400),
        ("authorise", {"scopes": ["everything"]}, 400),
        ("revoke", {"account": SECOND}, 404),
        ("settings", {"surprise": 1}, 400),
    ],
)
def test_switches_say_what_is_wrong(
    google: Server, switch: str, wish: dict[str, Any], status: int
) -> None:
    before = google.get("/sandbox/google").json()["accounts"]
    answer = google.request("POST", f"/sandbox/google/{switch}", json=wish)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]
    assert google.get("/sandbox/google").json()["accounts"] == before


# --- reps send and forward ------------------------------------------------------------------------


@pytest.mark.parametrize("crm", ["bcc", "cc", "to"])
def test_a_rep_writes_with_the_crm_in_copy(google: Server, users: Any, crm: str) -> None:
    made = google.control(
        "google/send", mailbox=SAM, to=[JAVIER, {"email": LENA}], subject=f"Offer by {crm}",
        body="<p>Here it is.</p>", html=True, crm=crm,
        attachments=[{"filename": "offer.pdf", "content_type": "application/pdf", "size": 9}],
    )  # fmt: skip
    message_id = made["sent"]["message_id"]
    [sent] = [m for m in google.truth(SAM) if m["message_id"] == message_id]
    assert sent["roles"] == ["sent"]
    assert [p["email"] for p in sent["bcc"]] == ([INTAKE] if crm == "bcc" else [])
    received = parsed(users, made["received"]["id"])
    assert received["Message-ID"] == message_id
    assert (INTAKE in str(received["To"])) is (crm == "to")
    assert (INTAKE in str(received.get("Cc", ""))) is (crm == "cc")
    assert "Here it is." in text_of(received, "html")
    assert [part.get_filename() for part in received.iter_attachments()] == ["offer.pdf"]
    assert "dmarc=pass" in received["Authentication-Results"]
    # The colleague has it, too, and does not see who got it by Bcc.
    [copy] = [m for m in google.truth(LENA) if m["message_id"] == message_id]
    assert (copy["roles"], copy["bcc"]) == (["inbox"], [])


def test_a_rep_writes_without_the_crm(google: Server) -> None:
    made = google.control("google/send", mailbox=SAM, to=[JAVIER], subject="Not", crm="none")
    assert made["received"] is None
    everything = google.get("/sandbox/google/truth").json()["data"]
    assert made["sent"]["message_id"] not in [m["message_id"] for m in everything]


def test_from_an_alias(google: Server, users: Any) -> None:
    alias = "m.berg@northsound.example"
    made = google.control("google/send", mailbox=MIA, to=[JAVIER], subject="x", **{"from": alias})
    message = parsed(users, made["received"]["id"])
    assert message["From"].addresses[0].addr_spec == alias


def test_what_the_crm_sends_through_nylas_arrives_as_well(google: Server, users: Any) -> None:
    body = {"to": [JAVIER], "bcc": [{"email": INTAKE}], "subject": "Through Nylas", "body": "x"}
    url = f"/v3/grants/{SAM}/messages/send"
    sent = google.request("POST", url, json=body).json()["data"]
    [message_id] = [
        m["message_id"] for m in google.truth(SAM, folder="sent") if m["id"] == sent["id"]
    ]
    found = google.get("/sandbox/google/truth").json()["data"]
    assert [m["subject"] for m in found if m["message_id"] == message_id] == ["Through Nylas"]


LABELS = {
    ("gmail", "en"): ("From", "Date", "Subject", "To"),
    ("gmail", "de"): ("Von", "Date", "Subject", "To"),
    ("gmail", "fr"): ("De", "Date", "Subject", "To"),
    ("outlook", "en"): ("From", "Sent", "Subject", "To"),
    ("outlook", "de"): ("Von", "Gesendet", "Betreff", "An"),
    ("outlook", "fr"): ("De", "Envoyé", "Objet", "À"),
    ("apple", "en"): ("From", "Date", "Subject", "To"),
    ("apple", "de"): ("Von", "Datum", "Betreff", "An"),
    ("apple", "fr"): ("De", "Date", "Objet", "À"),
}
STRUCTURES = {
    "gmail": ('class="gmail_attr"', 'class="gmail_sendername"', 'href="mailto:j.ruiz@harbor'),
    "outlook": ('id="divRplyFwdMsg"', 'id="appendonsend"', "&lt;j.ruiz@harbor.example&gt;"),
    "apple": ('<blockquote type="cite">', "Apple-interchange-newline", 'href="mailto:j.ruiz@h'),
}
PREFIXES = {"outlook": {"en": "FW: ", "de": "WG: ", "fr": "TR: "}}


@pytest.mark.parametrize(("client", "language"), LABELS)
def test_a_forward_as_the_program_writes_it(
    google: Server, users: Any, client: str, language: str
) -> None:
    original = google.deliver(
        MIA, "Q3 <plan> & more", body="Hello Mia,\n\n<see> below.", date=1_773_500_460,
        cc=[{"name": "Kerry Lee", "email": "k.lee@harbor.example"}],
    )  # fmt: skip
    made = google.control(
        "google/forward", mailbox=MIA, id=original["message_id"], client=client,
        language=language, note="For the file.",
    )  # fmt: skip
    message = parsed(users, made["received"]["id"])
    assert message["From"].addresses[0].addr_spec == MIA
    assert message["To"] == INTAKE
    prefix = PREFIXES.get(client, {}).get(language, "Fwd: ")
    assert message["Subject"] == prefix + "Q3 <plan> & more"
    assert message["Message-ID"] not in (None, original["message_id"])
    assert original["message_id"] not in message.as_string()
    plain = re.sub(r"(?m)^> ?", "", text_of(message).replace("\r\n", "\n"))
    assert plain.startswith("For the file.\n")
    colon = " ?:" if language == "fr" else ":"
    sender, date, subject, to = LABELS[client, language]
    for label, value in (
        (sender, "Javier Ruiz <j.ruiz@harbor.example>"),
        (subject, "Q3 <plan> & more"),
        (to, "Mia Berg <mia.berg@northsound.example>"),
    ):
        assert re.search(rf"(?m)^{label}{colon} {re.escape(value)}$", plain), plain
    assert re.search(r"(?m)^(Cc|Kopie) ?: Kerry Lee <k\.lee@harbor\.example>$", plain)
    # 14 March 2026, 15:00:58 UTC (two seconds before it arrived); Mia is in Berlin.
    said = re.search(rf"(?m)^{date}{colon} (.*)$", plain)
    assert said is not None
    assert {"2026", "14"} <= set(re.findall(r"\d+", said[1]))
    assert ("4:00" if language == "en" else "16:00") in said[1]
    assert "<see> below." in plain
    html = text_of(message, "html")
    for mark in STRUCTURES[client]:
        assert mark in html
    assert "Q3 &lt;plan&gt; &amp; more" in html
    assert "&lt;see&gt; below." in html
    # A rep's program keeps what it sent.
    [sent] = [m for m in google.truth(MIA) if m["message_id"] == message["Message-ID"]]
    assert (sent["roles"], sent["to"][0]["email"]) == (["sent"], INTAKE)


def test_the_hour_is_that_of_the_reps_zone(google: Server, users: Any) -> None:
    original = google.deliver(SAM, "Zones", date=1_773_500_460)
    made = google.control("google/forward", mailbox=SAM, id=original["id"], client="outlook")
    assert "Sent: Saturday, March 14, 2026 11:00 AM" in text_of(
        parsed(users, made["received"]["id"])
    )


def test_a_forward_as_an_attachment(google: Server, users: Any) -> None:
    original = google.deliver(SAM, "Whole: 1/2", body="All of it.")
    made = google.control(
        "google/forward", mailbox=SAM, id=original["id"], client="outlook", as_attachment=True,
        note="See the attachment.",
    )  # fmt: skip
    message = parsed(users, made["received"]["id"])
    assert "All of it." not in text_of(message)
    [attached] = message.iter_attachments()
    assert (attached.get_content_type(), attached.get_filename()) == (
        "message/rfc822",
        "Whole_ 1_2.eml",
    )
    inner = attached.get_content()
    assert inner["Message-ID"] == original["message_id"]
    assert "All of it." in inner.get_content()


def test_a_forward_of_a_forward(google: Server, users: Any) -> None:
    first = google.deliver(MIA, "Nested", body="The innermost text.")
    google.control("google/forward", mailbox=MIA, id=first["id"], client="gmail")
    [sent] = [m for m in google.truth(MIA, folder="sent") if m["subject"] == "Fwd: Nested"]
    made = google.control("google/forward", mailbox=MIA, id=sent["id"], client="gmail")
    message = parsed(users, made["received"]["id"])
    assert message["Subject"] == "Fwd: Nested"
    assert text_of(message).count("Forwarded message") == 2
    assert text_of(message, "html").count('class="gmail_attr"') == 2


def test_attachments_travel_with_the_forward(google: Server, users: Any) -> None:
    original = google.deliver(
        SAM, "With files",
        attachments=[{"filename": "logo.png", "content_type": "image/png", "size": 7}],
    )  # fmt: skip
    made = google.control("google/forward", mailbox=SAM, id=original["id"], client="apple")
    [attached] = parsed(users, made["received"]["id"]).iter_attachments()
    assert (attached.get_filename(), len(attached.get_payload(decode=True) or b"")) == (
        "logo.png",
        7,
    )


def test_the_sent_copy_is_announced(google: Server, receiver: Receiver) -> None:
    hook = {"webhook_url": receiver.url, "trigger_types": ["message.created"]}
    made = google.request("POST", "/v3/webhooks", json=hook).json()["data"]
    google.control("google/send", mailbox=SAM, to=[JAVIER], subject="Announced")
    google.control("google/forward", mailbox=SAM)
    told = [n["data"]["object"]["subject"] for n in receiver.wait_for(2)]
    google.request("DELETE", f"/v3/webhooks/{made['id']}")
    assert told[0] == "Announced"
    assert told[1].startswith("Fwd: ")


# --- the other switches ---------------------------------------------------------------------------


def test_base64_without_padding(google: Server, users: Any) -> None:
    made = [deliver(google, "x" * n) for n in (1, 2, 3)]

    def raws() -> list[str]:
        get = users.messages().get
        return [str(get(userId="me", id=m["id"], format="raw").execute()["raw"]) for m in made]

    padded = raws()
    assert any(raw.endswith("=") for raw in padded)
    google.control("google/settings", padding=False)
    try:
        assert raws() == [raw.rstrip("=") for raw in padded]
    finally:
        google.control("google/settings", padding=True)
    assert raws() == padded


def test_generated_mail(google: Server, start: Callable[..., Server]) -> None:
    many = start("--anchor", ANCHOR, "--intake-messages", "300")
    users = service_for(many)
    profile = users.getProfile(userId="me").execute()
    assert profile["messagesTotal"] == STORIES + 300
    data = many.get("/sandbox/google/truth").json()["data"]
    generated = [m for m in data if not m["note"]]
    assert len({m["message_id"] for m in generated}) == len(generated) == 300
    # Older than all that waits, and no part of the history.
    assert data[-300:] == generated
    floor = many.get("/sandbox/google").json()["accounts"][0]["oldest_start"]
    answer = users.history().list(userId="me", startHistoryId=floor, maxResults=500).execute()
    assert len(answer["history"]) == STORIES
    forwards = [m for m in generated if m["to"] == INTAKE]
    assert len(forwards) == 120
    reps = {p["email"] for p in many.get("/sandbox/world").json()["personas"]}
    for message in generated[:20]:
        got = parsed(users, message["id"])
        assert got["From"].addresses[0].addr_spec in reps
        assert not got.defects
        arrived = datetime.fromtimestamp(message["internal_date"] / 1000).timestamp()
        assert abs(parsedate_to_datetime(got["Date"]).timestamp() - arrived) < 10
    start_id = profile["historyId"]
    many.control("google/generate", count=250)
    answer = users.history().list(userId="me", startHistoryId=start_id, maxResults=500).execute()
    assert len(answer["history"]) == 250
    assert len(users.messages().list(userId="me", maxResults=500).execute()["messages"]) == 500


def test_deleting_and_labelling_by_hand(google: Server, users: Any) -> None:
    made = deliver(google, "By hand")
    google.control("google/label", id=made["id"], add=["STARRED"], remove=["UNREAD"])
    got = users.messages().get(userId="me", id=made["id"], format="minimal").execute()
    assert "STARRED" in got["labelIds"]
    assert "UNREAD" not in got["labelIds"]
    google.control("google/delete", id=made["message_id"])
    assert made["id"] not in [m["id"] for m in google.get("/sandbox/google/truth").json()["data"]]


def test_the_truth_comes_in_pages(google: Server) -> None:
    whole = google.get("/sandbox/google/truth").json()
    assert whole["next_cursor"] is None
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        query = {"limit": 4, **({"page_token": cursor} if cursor else {})}
        page = google.get("/sandbox/google/truth", **query).json()
        seen += [m["id"] for m in page["data"]]
        cursor = page["next_cursor"]
    assert seen == [m["id"] for m in whole["data"]]
    assert google.get("/sandbox/google/truth", page_token="x").status_code == 400
    assert google.get("/sandbox/google/truth", account="x").status_code == 404
    assert google.get("/sandbox/google/truth", account=SECOND).json()["data"] == []


def test_no_switch_shows_a_token(google: Server) -> None:
    given = google.control("google/authorise")
    headers = bearer(google)
    for path in ("/sandbox/google", "/sandbox/google/truth", "/sandbox/requests", "/"):
        page = google.get(path).text
        assert given["refresh_token"] not in page
        assert headers["Authorization"].split()[1] not in page


# --- the page -------------------------------------------------------------------------------------


def use_form(google: Server, action: str, **form: str) -> str:
    """Post a form of the page; returns the sentence that says what was done."""
    url = f"{google.url}/sandbox/google/page/{action}"
    page = requests.post(url, data=form, timeout=10).text
    done = re.search(r'<p class="note" role="status">(.*?)</p>', page)
    assert done is not None
    return done[1]


def test_the_page_has_the_forms(google: Server) -> None:
    page = google.get("/").text
    for text in ("Send as a rep, BCC the CRM", "Forward a mail to the CRM", INTAKE, "Apple Mail"):
        assert text in page


def test_the_forms_do_what_they_say(google: Server) -> None:
    before = len(google.get("/sandbox/google/truth").json()["data"])
    form = {"to": "j.ruiz@harbor.example", "subject": "By form", "body": "x", "crm": "bcc"}
    assert "By form" in use_form(google, "send", mailbox=SAM, **form)
    said = use_form(google, "forward", mailbox=SAM, client="outlook", language="de", note="x")
    assert "WG: " in said
    said = use_form(google, "forward", mailbox=SAM, as_attachment="on")
    assert "Fwd: " in said
    assert len(google.get("/sandbox/google/truth").json()["data"]) == before + 3
    google.control("google/authorise")
    assert "run out" in use_form(google, "expire-tokens", account=INTAKE)
    assert "too old" in use_form(google, "expire-history", account=INTAKE)
    assert "took its consent back" in use_form(google, "revoke", account=INTAKE)
    assert "without padding" in use_form(google, "padding")
    assert "with padding" in use_form(google, "padding")
    assert "2 more" in use_form(google, "quota", kind="userRateLimitExceeded", times="2")
    [fault] = google.get("/sandbox/faults").json()["faults"]
    google.request("DELETE", "/sandbox/faults")
    assert (fault["kind"], fault["path"], fault["times"]) == ("userRateLimitExceeded", "/gmail/", 2)
    for action, wrong in (
        ("send", {"mailbox": SAM, "to": ""}),
        ("forward", {"mailbox": "x"}),
        ("revoke", {"account": INTAKE}),
        ("quota", {"kind": "none"}),
        ("quota", {"kind": "429", "times": "often"}),
        ("nothing", {}),
    ):
        assert "Nothing done" in use_form(google, action, **wrong)


# --- a restart ------------------------------------------------------------------------------------


def test_everything_survives_kill_9(start: Callable[..., Server], tmp_path: Path) -> None:
    file = str(tmp_path / "state.jsonl")
    first = start("--state", file, "--anchor", ANCHOR, "--intake-messages", "30")
    credentials = credentials_for(first)
    revoked = credentials_for(first, account=SECOND)
    first.control("google/revoke", account=SECOND)
    users = service_for(first, credentials)
    label = users.labels().create(userId="me", body={"name": "CRM/Done"}).execute()["id"]
    made = deliver(first, "Kept – ünïcode")
    first.control("google/send", mailbox=SAM, to=[JAVIER], subject="Sent once")
    first.control("google/forward", mailbox=SAM)
    first.control("google/generate", count=7)
    body = {"addLabelIds": [label], "removeLabelIds": ["UNREAD"]}
    users.messages().modify(userId="me", id=made["id"], body=body).execute()
    first.control("google/delete", id=first.get("/sandbox/google/truth").json()["data"][-1]["id"])
    first.control("google/expire-history")
    first.control("google/settings", padding=False)
    deliver(first, "After the history was lost")

    def snapshot(server: Server) -> dict[str, Any]:
        return {
            "google": server.get("/sandbox/google").json(),
            "truth": server.get("/sandbox/google/truth").json(),
            "sent": server.truth(SAM, folder="sent"),
        }

    before = snapshot(first)
    raws = {m["id"]: raw_of(users, m["id"]) for m in before["truth"]["data"]}
    first.kill()
    second = start("--state", file)
    assert snapshot(second) == before
    credentials._token_uri = f"{second.url}/google/token"
    revoked._token_uri = credentials._token_uri
    users = service_for(second, credentials)
    # The old access token ended with the process; the refresh token did not.
    assert {i: raw_of(users, i) for i in raws} == raws
    floor = before["google"]["accounts"][0]["oldest_start"]
    answer = users.history().list(userId="me", startHistoryId=floor).execute()
    assert len(answer["history"]) == 1
    with pytest.raises(RefreshError, match="expired or revoked"):
        service_for(second, revoked).getProfile(userId="me").execute()


def test_a_state_file_from_before_google_can_be_read(
    start: Callable[..., Server], tmp_path: Path
) -> None:
    file = tmp_path / "state.jsonl"
    file.write_text(
        '{"op":"world","seed":1,"anchor":1773619200,"mailboxes":6,"messages":400,'
        '"history_days":45}\n'
    )
    old = start("--state", str(file), "--intake-messages", "9")
    assert old.get("/sandbox/google").json()["accounts"][0]["messages"] == STORIES
    assert old.request("GET", "/v3/grants", headers={"Authorization": f"Bearer {KEY}"}).ok
