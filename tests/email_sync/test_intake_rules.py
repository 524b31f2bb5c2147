"""The rules of the intake one by one: what they must find, and what they must leave alone."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from email_sync import intake_rules, mime, rules
from email_sync.intake_rules import Intake, People, Rep, Ruling, canonical, judge, sent_at
from tests.email_sync.fake_gateway import NOW
from tests.email_sync.fake_gmail import ANA, CAPTURE, MIA, mail, proof

OURS = frozenset({"northsound.example"})
MIAS = frozenset({MIA, "m.berg@northsound.example", "mia.berg@gmail.com"})
MIA_BERG = Rep(1, "Mia Berg", own=MIAS)
SAM = Rep(2, "Sam Cole", own=frozenset({"sam@northsound.example"}))
PEOPLE = People(
    reps={1: MIA_BERG, 2: SAM},
    verified={**{a: frozenset({1}) for a in MIAS}, "sam@northsound.example": frozenset({2}),
              "desk@northsound.example": frozenset({1, 2})},
    by_mailbox={**{canonical(a): frozenset({1}) for a in MIAS},
                "sam@northsound.example": frozenset({2}),
                "desk@northsound.example": frozenset({1, 2})},
    everybody=MIAS | {"sam@northsound.example"},
)  # fmt: skip
INTAKE = Intake(address=CAPTURE, company_domains=OURS)


def received(**fields):
    return mime.read(mail(**fields))


def judged(*, intake=INTAKE, people=PEOPLE, ruling=None, **fields):
    return judge(received(**fields), intake=intake, people=people, ruling=ruling)


# --- rule 1 ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "fields",
    [
        {"return_path": "<>"},
        {"from_": "Mail Delivery Subsystem <mailer-daemon@googlemail.com>"},
        {"from_": "POSTMASTER@northsound.example"},
        {"auto_submitted": "auto-replied"},
        {"auto_submitted": "auto-generated; by=cron"},
        {"x_autoreply": "yes"},
        {"subject": "Automatic reply: Offer"},
        {"subject": "Out of Office: Offer"},
        {"subject": "Undeliverable: Offer"},
        {"subject": "Undelivered Mail Returned to Sender"},
        {"subject": "Delivery Status Notification (Failure)"},
        {"subject": "Abwesenheitsnotiz: Angebot"},
        {"subject": "Réponse automatique : Offre"},
        {"subject": "自動応答: 見積"},
    ],
)
def test_system_mail_is_recorded_as_such(fields):
    found = judged(**fields)
    assert found.reason == "automated-mail"
    assert found.steps[-1].rule == "system-mail"
    # A rep's own history shows it.
    assert found.rep == (None if "from_" in fields else MIA_BERG)


def test_a_report_is_system_mail_whoever_sent_it():
    raw = mail().replace(
        b"Content-Type: text/plain", b"Content-Type: multipart/report; report-type=delivery-status"
    )
    found = judge(mime.read(raw), intake=INTAKE, people=PEOPLE)
    assert found.reason == "automated-mail"


@pytest.mark.parametrize(
    "fields",
    [
        {"auto_submitted": "no"},
        {"auto_submitted": "No ; because a person sent it"},
        {"subject": "Out of office next week"},
        {"subject": "Re: Automatic reply: Offer"},
        {"subject": "Fwd: Undeliverable: Offer"},
        {"subject": "Our automatic reply service"},
        {"from_": f"postmaster <{MIA}>"},
        {"x_auto_response_suppress": "All"},
        {"return_path": "<mia@northsound.example>"},
    ],
)
def test_what_people_send_is_no_system_mail(fields):
    assert judged(**fields).reason == ""


# --- rule 2 ---------------------------------------------------------------------------------------
def test_an_invitation_is_the_calendars_matter():
    raw = mail().replace(
        b"Content-Type: text/plain", b"Content-Type: text/calendar; method=REQUEST"
    )
    assert judge(mime.read(raw), intake=INTAKE, people=PEOPLE).reason == "calendar-invite"


def test_a_calendar_file_without_a_method_is_an_attachment():
    raw = mail().replace(b"Content-Type: text/plain", b"Content-Type: text/calendar")
    assert judge(mime.read(raw), intake=INTAKE, people=PEOPLE).reason == ""


# --- rule 3 ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "fields",
    [
        {"from_": CAPTURE},
        {"from_": "CRM.Intake+x@northsound.example"},
        {intake_rules.LOOP_HEADER.replace("-", "_"): "1"},
    ],
)
def test_a_loop_ends_here(fields):
    assert judged(**fields).reason == "loop"


@pytest.mark.parametrize(("hops", "reason"), [(51, "loop"), (50, "")])
def test_mail_that_goes_in_circles_ends_here(hops, reason):
    # `mail` has one Received of its own.
    raw = b"Received: from a by b; Fri, 20 Nov 2026 10:00:00 +0000\r\n" * (hops - 1) + mail()
    assert judge(mime.read(raw), intake=INTAKE, people=PEOPLE).reason == reason


# --- rule 4 ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "from_",
    [
        MIA,
        f"Somebody Else <{MIA}>",
        "MIA@NorthSound.Example",
        "mia+crm@northsound.example",
        "m.berg@northsound.example",
    ],
)
def test_the_rep_is_known_by_every_verified_address(from_):
    assert judged(from_=from_).rep == MIA_BERG


@pytest.mark.parametrize("from_", ["miaberg@gmail.com", "mia.berg+x@googlemail.com"])
def test_dots_say_nothing_at_gmail(from_):
    assert judged(from_=from_, results=proof(from_.partition("@")[2])).rep == MIA_BERG


@pytest.mark.parametrize(
    "fields",
    [
        {"from_": "nobody@northsound.example"},
        {"from_": "mi.a@northsound.example"},
        {"from_": f'"{MIA}" <x@evil.example>'},
        {"from_": f"{MIA}, sam@northsound.example"},
        {"from_": "desk@northsound.example"},
        {"from_": f"{MIA}.evil.example"},
        {"from_": ""},
        {"from_": "x@evil.example", "sender": MIA, "reply_to": MIA},
    ],
)
def test_nobody_else_is(fields):
    found = judged(**fields)
    assert (found.reason, found.rep, found.claimed) == ("sender-not-registered", None, None)


def test_two_from_headers_are_not_one():
    raw = mail().replace(b"From: ", b"From: sam@northsound.example\r\nFrom: ")
    found = judge(mime.read(raw), intake=INTAKE, people=PEOPLE)
    assert found.reason == "sender-not-registered"
    assert found.steps[0].words == "It names 2 senders in From, and not one."


def test_an_address_of_two_users_is_nobodys_and_says_so():
    found = judged(from_="desk@northsound.example")
    assert found.steps[0].words == "desk@northsound.example belongs to 2 users."


def test_an_address_that_is_registered_as_it_is_outranks_the_mailbox_behind_it():
    verified = {**PEOPLE.verified, "mia+sam@northsound.example": frozenset({2})}
    people = replace(PEOPLE, verified=verified)
    assert judged(people=people, from_="mia+sam@northsound.example").rep == SAM


# --- rule 5 ---------------------------------------------------------------------------------------
def test_a_sender_that_gmail_does_not_prove_is_not_the_rep():
    found = judged(results="mx.google.com; dmarc=fail; spf=pass smtp.mailfrom=x@evil.example")
    assert (found.reason, found.rep, found.claimed) == ("sender-not-authenticated", None, MIA_BERG)
    assert found.steps[1].words == "Not proved. Gmail: dmarc=fail, spf=pass (evil.example)."


def test_proof_for_another_domain_than_that_of_from_is_none():
    assert judged(results=proof("evil.example")).reason == "sender-not-authenticated"


def test_a_result_that_the_sender_wrote_further_down_is_ignored():
    raw = mail(results=None).replace(
        b"From: ", b"Authentication-Results: mx.google.com; dmarc=fail\r\nSubject: x\r\n"
        b"Authentication-Results: " + proof().replace("\r\n", "").encode() + b"\r\nFrom: "
    )  # fmt: skip
    assert judge(mime.read(raw), intake=INTAKE, people=PEOPLE).reason == "sender-not-authenticated"


def test_an_alias_that_an_admin_trusts_needs_no_proof_but_only_that_alias():
    people = replace(PEOPLE, trusted=frozenset({"m.berg@northsound.example"}))
    assert judged(people=people, from_="m.berg@northsound.example", results=None).rep == MIA_BERG
    assert judged(people=people, from_=MIA, results=None).reason == "sender-not-authenticated"


def test_a_person_may_approve_one_message():
    found = judged(results=None, ruling=Ruling(by="Ada", is_sender_proved=True))
    assert (found.rep, found.steps[1].words) == (MIA_BERG, "Ada approved the sender.")


def test_approval_makes_nobody_a_user():
    ruling = Ruling(by="Ada", is_sender_proved=True)
    assert judged(from_="x@evil.example", ruling=ruling).reason == "sender-not-registered"


# --- rule 6 ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("to", "cc", "source"),
    [
        (ANA, "", "bcc"),
        ("", "", "bcc"),
        ("sam@northsound.example", "", "bcc"),
        (CAPTURE, ANA, "bcc"),
        (f"{ANA}, {CAPTURE}", "", "bcc"),
        (CAPTURE, "", "fwd"),
        ("CRM.Intake@NorthSound.Example", "", "fwd"),
        ("crm.intake+offers@northsound.example", "", "fwd"),
        ("", CAPTURE, "fwd"),
        (CAPTURE, "sam@northsound.example", "fwd"),
        (CAPTURE, "anybody@northsound.example", "fwd"),
        (f"{CAPTURE}, {MIA}", "", "fwd"),
        (CAPTURE, "mia+x@gmail.com", "bcc"),
    ],
)
def test_the_kind_is_told_by_to_and_cc(to, cc, source):
    for fields in ({}, {"subject": "Fwd: x"}, {"from_": "x@evil.example"}, {"return_path": "<>"}):
        assert judged(to=to, cc=cc, **fields).source == source


def test_without_company_domains_only_users_are_inside():
    intake = replace(INTAKE, company_domains=frozenset())
    assert judged(intake=intake, to=CAPTURE, cc="sam@northsound.example").source == "fwd"
    assert judged(intake=intake, to=CAPTURE, cc="boss@northsound.example").source == "bcc"


@pytest.mark.parametrize(("to", "kind"), [(ANA, "bcc"), (CAPTURE, "fwd")])
def test_a_kind_that_is_off_ends_there_and_is_nobodys_question(to, kind):
    off = replace(INTAKE, **{kind: False})
    assert judged(intake=off, to=to).reason == "source-off"
    assert judged(intake=off, to=to).rep == MIA_BERG
    for fields in ({"results": None}, {"from_": "x@evil.example"}):
        assert judged(intake=off, to=to, **fields).reason == "source-off"
        assert judged(intake=off, to=to, **fields).rep is None
    assert judged(intake=off, to=to, return_path="<>").reason == "automated-mail"


# --- rule 7 ---------------------------------------------------------------------------------------
AUTOMATIC = {
    "from_": ANA,
    "to": MIA,
    "x_forwarded_to": CAPTURE,
    "x_forwarded_for": f"{MIA} {CAPTURE}",
}


def test_what_an_account_forwards_by_itself_is_not_taken():
    found = judged(**AUTOMATIC)
    assert (found.source, found.reason, found.rep) == ("fwd", "automatic-forward", None)
    assert found.steps[0].words == f"{MIA} forwards its mail by itself."


def test_nor_is_it_where_the_sender_is_a_rep_and_proved():
    found = judged(**AUTOMATIC | {"from_": "sam@northsound.example", "to": ANA})
    assert found.reason == "automatic-forward"


def test_where_an_admin_allows_it_it_is_that_of_the_account():
    intake = replace(INTAKE, automatic_forwarding=True)
    found = judged(intake=intake, **AUTOMATIC)
    assert (found.source, found.reason, found.rep) == ("fwd", "", MIA_BERG)
    assert found.is_automatic
    stranger = AUTOMATIC | {"x_forwarded_for": f"x@evil.example {CAPTURE}"}
    assert judged(intake=intake, **stranger).reason == "sender-not-registered"


def test_forwarding_elsewhere_before_is_not_the_intakes_matter():
    found = judged(to=CAPTURE, x_forwarded_to=MIA, x_forwarded_for=f"old@northsound.example {MIA}")
    assert (found.reason, found.is_automatic) == ("", False)


# --- rule 8 ---------------------------------------------------------------------------------------
def about(original=False, **addresses):
    group = {role: addresses.get(role, ()) for role in ("from", "to", "cc", "bcc")}
    if original:
        return intake_rules.about_original(group, MIA_BERG, intake=INTAKE, people=PEOPLE)
    return intake_rules.about_bcc(group, MIA_BERG, intake=INTAKE)


def tried(inquiry):
    """The addresses that `rules.decide` looks for among the contacts."""
    known = {
        a: [rules.KnownContact(1, "A", 1, "C", "1", is_mine=True)]
        for group in inquiry.addresses.values()
        for a in group
    }
    found = {}
    for address, contacts in known.items():
        decision = rules.decide(
            inquiry.addresses, received_at=None, own=inquiry.own, known={address: contacts},
            sync_from=None, exclusions=rules.Exclusions(), compared=inquiry.compared,
            inside=inquiry.inside,
        )  # fmt: skip
        found[address] = decision
    return {a for a, d in found.items() if d.matches}, {d.direction for d in found.values()}


def test_of_a_bcc_to_and_cc_are_looked_for():
    inquiry = about(**{"from": (MIA,), "to": (ANA, CAPTURE), "cc": ("kim@harbor.example",)})
    assert tried(inquiry) == ({ANA, "kim@harbor.example"}, {"sent"})


def test_the_rep_the_intake_and_the_company_never_match():
    inquiry = about(
        **{"from": ("mia+x@northsound.example",), "to": ("mia.berg@gmail.com", CAPTURE),
           "cc": ("boss@northsound.example",)}
    )  # fmt: skip
    assert tried(inquiry)[0] == set()


def test_of_a_forward_the_original_sender_is_looked_for():
    inquiry = about(original=True, **{"from": (ANA,), "to": (MIA,), "cc": ("kim@harbor.example",)})
    assert tried(inquiry) == ({ANA}, {"received"})


@pytest.mark.parametrize(
    "writer", [MIA, "mia.berg@gmail.com", "sam@northsound.example", "boss@northsound.example"]
)
def test_of_what_the_rep_or_a_colleague_had_written_the_recipients_are(writer):
    inquiry = about(original=True, **{"from": (writer,), "to": (ANA,), "cc": (CAPTURE,)})
    assert tried(inquiry) == ({ANA}, {"sent"})


# --- the rest -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("address", "mailbox"),
    [
        ("Mia+CRM@x.example", "mia@x.example"),
        ("m.i.a@x.example", "m.i.a@x.example"),
        ("m.i.a+b@gmail.com", "mia@gmail.com"),
        ("mia@googlemail.com", "mia@gmail.com"),
        ("+mia@x.example", "+mia@x.example"),
        ("a+b+c@x.example", "a@x.example"),
        ("nobody", ""),
    ],
)
def test_the_mailbox_behind_an_address(address, mailbox):
    assert canonical(address) == mailbox


def test_a_date_is_believed_where_it_is_near_the_receipt():
    for believed in (-timedelta(days=29), timedelta(0), timedelta(hours=23)):
        assert sent_at(NOW + believed, NOW) == NOW + believed
    for wrong in (-timedelta(days=400), timedelta(days=2), timedelta(days=4000)):
        assert sent_at(NOW + wrong, NOW) == NOW
    assert sent_at(None, NOW) == sent_at(NOW, None) == NOW
    assert sent_at(None, None) is None


def test_the_trace_names_each_rule_and_what_it_found():
    found = judged(to=f"{CAPTURE}, {ANA}")
    assert found.trace == {
        "claimed": {"id": 1, "name": "Mia Berg"},
        "steps": [
            {"rule": "sender", "words": f"{MIA} is Mia Berg."},
            {
                "rule": "authentication",
                "words": "Gmail: dkim=pass (northsound.example), spf=pass (northsound.example), "
                "dmarc=pass (northsound.example).",
            },
            {
                "rule": "kind",
                "words": "The intake mailbox stands beside an outside recipient: a logged copy.",
            },
        ],
    }
