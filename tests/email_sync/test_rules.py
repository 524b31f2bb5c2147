"""What must match and what must not."""

from datetime import timedelta

import pytest

from email_sync import rules
from email_sync.rules import Exclusions, KnownContact, decide, is_never_synced
from tests.email_sync.fake_gateway import NOW, headers

MIA = "mia@northsound.example"
ALIAS = "m.berg@northsound.example"
OWN = frozenset({MIA, ALIAS})


def contact(id: int, *, is_mine: bool = True, customer: str = "1001") -> KnownContact:
    return KnownContact(
        id=id, name=f"Contact {id}", customer_id=int(customer), customer=f"Customer {customer}",
        customer_number=customer, is_mine=is_mine,
    )  # fmt: skip


ANA = contact(1)
KIM = contact(2, customer="1002")
LEE = contact(3, is_mine=False)
KNOWN = {
    "ana@lumen.example": [ANA],
    "kim@harbor.example": [KIM],
    "lee@harbor.example": [LEE],
}


def decided(known=KNOWN, sync_from=NOW - timedelta(days=30), never=None, **message):
    listed = headers(**message)
    return decide(
        rules.addresses_of(listed),
        received_at=listed.received_at,
        own=OWN,
        known=known,
        sync_from=sync_from,
        exclusions=never or Exclusions(),
    )


@pytest.mark.parametrize(
    "message",
    [
        {"from_": "ana@lumen.example"},
        {"from_": "  ANA@Lumen.Example "},
        {"from_": "Ana Sato <ana@lumen.example>"},
        {"from_": "x@other.example", "cc": ("ana@lumen.example",)},
        {"from_": "x@other.example", "to": (MIA, "ana@lumen.example")},
        {"from_": MIA, "to": ("ana@lumen.example",)},
        {"from_": MIA, "to": ("x@other.example",), "bcc": ("ana@lumen.example",)},
        {"from_": ALIAS, "to": (), "bcc": ("ana@lumen.example",)},
    ],
)
def test_a_my_contact_anywhere_in_the_headers_matches(message):
    decision = decided(**message)
    assert (decision.outcome, decision.reason) == ("matched", "matched")
    assert [match.contact for match in decision.matches] == [ANA]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"from_": "lee@harbor.example"}, "not-my-contact"),
        ({"from_": "x@other.example"}, "unknown-address"),
        ({"from_": ""}, "unknown-address"),
        ({"from_": "ana@lumen.example.evil.example"}, "unknown-address"),
        ({"from_": "xana@lumen.example"}, "unknown-address"),
        # Bcc tells something only on what the rep sent.
        ({"from_": "x@other.example", "bcc": ("ana@lumen.example",)}, "unknown-address"),
        ({"from_": MIA, "to": (MIA,)}, "unknown-address"),
        ({"received_at": NOW - timedelta(days=31)}, "before-sync-start"),
    ],
)
def test_nothing_else_matches(message, reason):
    decision = decided(**message)
    assert (decision.outcome, decision.reason) == ("unmatched", reason)
    assert decision.matches == ()


def test_the_display_name_of_somebody_else_proves_nothing():
    message = headers(from_='"ana@lumen.example" <stranger@other.example>')
    assert rules.addresses_of(message)["from"] == ("stranger@other.example",)


def test_the_users_own_addresses_never_match_even_when_they_are_a_contacts():
    decision = decided(known={MIA: [contact(9)]}, from_="x@other.example", to=(MIA,))
    assert decision.reason == "unknown-address"


def test_a_message_dated_at_the_very_start_is_within():
    assert decided(received_at=NOW, sync_from=NOW).outcome == "matched"


def test_a_message_without_a_date_is_not_taken_for_old():
    assert decided(received_at=None).outcome == "matched"


def test_several_contacts_and_customers_match_one_message_each_once():
    decision = decided(
        from_="ana@lumen.example", to=(MIA, "kim@harbor.example"), cc=("ANA@lumen.example",)
    )
    assert [match.contact for match in decision.matches] == [ANA, KIM]


def test_one_address_of_two_customers_contacts_links_to_both():
    decision = decided(known={"ana@lumen.example": [ANA, KIM, LEE]})
    assert [match.contact for match in decision.matches] == [ANA, KIM]


@pytest.mark.parametrize(
    ("sender", "direction"),
    [(MIA, "sent"), (ALIAS.upper(), "sent"), ("ana@lumen.example", "received"), ("", "received")],
)
def test_direction_follows_from(sender, direction):
    assert decided(from_=sender).direction == direction


def test_mail_to_oneself_is_sent():
    assert decided(from_=MIA, to=(MIA,)).direction == "sent"


def test_the_trace_says_who_each_address_is_and_keeps_somebodies_when_it_is_cut():
    strangers = tuple(f"s{n}@other.example" for n in range(5_000))
    decision = decided(from_="x@other.example", to=strangers, cc=("lee@harbor.example", MIA))
    trace = decision.trace
    assert trace["rule"] == "not-my-contact"
    assert trace["addresses"][0]["contacts"][0]["customer"] == "Customer 1001"
    assert len(trace["addresses"]) == rules.TRACE_ADDRESSES
    assert trace["left_out"] == 5_003 - rules.TRACE_ADDRESSES


# --- exclusions --------------------------------------------------------------------------------
ANA_ONLY = Exclusions(addresses=frozenset({"ana@lumen.example"}))
LUMEN = Exclusions(domains=frozenset({"lumen.example"}))
INTERNAL = Exclusions(company_domains=frozenset({"northsound.example", "ns.example"}))


@pytest.mark.parametrize(
    ("never", "message", "reason"),
    [
        (ANA_ONLY, {}, "excluded-address"),
        (ANA_ONLY, {"from_": MIA, "to": ("ana@lumen.example",)}, "excluded-address"),
        (
            ANA_ONLY,
            {"from_": "kim@harbor.example", "cc": ("ANA@lumen.example",)},
            "excluded-address",
        ),
        (ANA_ONLY, {"from_": MIA, "to": (), "bcc": ("ana@lumen.example",)}, "excluded-address"),
        (LUMEN, {"from_": "x@LUMEN.example", "to": ("kim@harbor.example",)}, "excluded-domain"),
        (INTERNAL, {"from_": "bo@ns.example"}, "internal-only"),
        (INTERNAL, {"from_": MIA, "to": (MIA,), "cc": ("bo@northsound.example",)}, "internal-only"),
    ],
)
def test_an_exclusion_takes_the_whole_message_even_beside_a_contact(never, message, reason):
    decision = decided(never=never, **message)
    assert (decision.outcome, decision.reason, decision.matches) == ("excluded", reason, ())


@pytest.mark.parametrize(
    ("never", "message"),
    [
        (ANA_ONLY, {"from_": "kim@harbor.example"}),
        (LUMEN, {"from_": "kim@harbor.example", "cc": ("x@mail.lumen.example",)}),
        (LUMEN, {"from_": "kim@harbor.example", "cc": ("x@notlumen.example",)}),
        (INTERNAL, {"from_": "ana@lumen.example", "cc": ("bo@northsound.example",)}),
        (INTERNAL, {"from_": MIA, "to": ("bo@ns.example",), "bcc": ("ana@lumen.example",)}),
        (Exclusions(addresses=frozenset({MIA})), {}),
    ],
)
def test_what_is_only_like_an_exclusion_still_matches(never, message):
    assert decided(never=never, **message).outcome == "matched"


def test_mail_without_any_party_is_not_internal():
    assert decided(never=INTERNAL, from_="", to=()).reason == "unknown-address"


# --- drafts, trash, junk ------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"is_draft": True}, True),
        ({"folder": "TRASH"}, True),
        ({"folder": "JUNK"}, True),
        ({"folder": "DRAFTS"}, True),
        ({"folder": "INBOX"}, False),
        ({"folder": "UNKNOWN"}, False),
    ],
)
def test_drafts_and_what_lies_in_trash_or_junk_is_left_alone(message, expected):
    roles = {"INBOX": "inbox", "TRASH": "trash", "JUNK": "junk", "DRAFTS": "drafts"}
    assert is_never_synced(headers(**message), roles=roles) is expected
