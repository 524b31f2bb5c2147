"""Ledger entries in plain words."""

import pytest

from monitor.explanations import Owner, explain, read_trace

MIA = Owner.called("Mia", is_reader=False)


def contact(name="K. Lee", customer="Harbor Foods", is_mine=False):
    return {"id": 1, "name": name, "customer": customer, "customer_id": 3, "is_mine": is_mine}


def seen(address, *contacts, role="from", is_own=False):
    return {"address": address, "role": role, "is_own": is_own, "contacts": list(contacts)}


def words(reason, addresses=(), owner=MIA, **trace):
    read = read_trace({"addresses": list(addresses), **trace}, reason=reason)
    return explain(read, reason=reason, owner=owner, starts="12 Oct 2025", is_expired=False)


def test_a_contact_of_somebody_else():
    found = words("not-my-contact", [seen("k@harbor.example", contact())])
    assert found == "K. Lee is a contact of Harbor Foods, but not one of Mia's contacts."


def test_the_reader_is_addressed():
    owner = Owner.called("Mia", is_reader=True)
    found = words("not-my-contact", [seen("k@harbor.example", contact())], owner=owner)
    assert found == "K. Lee is a contact of Harbor Foods, but not one of your contacts."


def test_two_contacts_of_somebody_else():
    addresses = [seen("k@x.example", contact()), seen("b@x.example", contact("B. Oz", "Lumen"))]
    assert words("not-my-contact", addresses) == (
        "K. Lee of Harbor Foods and B. Oz of Lumen are contacts, "
        "but none of them is one of Mia's contacts."
    )


def test_a_contact_seen_twice_is_named_once():
    addresses = [seen("k@x.example", contact()), seen("k@x.example", contact(), role="cc")]
    assert words("not-my-contact", addresses).startswith("K. Lee is a contact")


def test_a_match_names_who_it_is():
    found = words("matched", [seen("k@x.example", contact(is_mine=True))])
    assert found == "K. Lee of Harbor Foods is one of Mia's contacts."


def test_the_own_contact_card_is_not_what_matched():
    addresses = [
        seen("mia@x.example", contact("Mia", "Us", is_mine=True), is_own=True),
        seen("k@x.example", contact(is_mine=True)),
    ]
    assert words("matched", addresses).startswith("K. Lee of Harbor Foods is")


def test_strangers_are_named_and_counted():
    own = seen("mia@x.example", role="to", is_own=True)
    assert words("unknown-address", [seen("a@x.example"), own]) == (
        "No contact has the address a@x.example."
    )
    many = [seen(f"{letter}@x.example") for letter in "abcde"]
    assert words("unknown-address", many, left_out=40) == (
        "No contact has any of the addresses a@x.example, b@x.example and 43 more."
    )


def test_mail_to_oneself():
    own = seen("mia@x.example", is_own=True)
    assert words("unknown-address", [own]) == "Only Mia's own addresses are on it."


def test_mail_before_the_start():
    assert words("before-sync-start") == (
        "It is dated before the start of Mia's sync (12 Oct 2025)."
    )


def test_a_failure_gives_its_cause():
    found = words("processing-error", cause="It is no longer in the mailbox.")
    assert found == "It is no longer in the mailbox."
    assert "could not be read" in words("processing-error")


def test_an_expired_entry_says_what_became_of_it():
    read = read_trace({}, reason="unknown-address")
    found = explain(read, reason="unknown-address", owner=MIA, starts="", is_expired=True)
    assert "removed" in found


@pytest.mark.parametrize(
    "trace",
    [
        None,
        [],
        {},
        {"addresses": None},
        {"addresses": ["a", {}, {"contacts": [None, {}]}]},
        {"addresses": [{"contacts": [{"customer_id": "x"}]}], "left_out": "y"},
    ],
)
@pytest.mark.parametrize(
    "reason", ["matched", "not-my-contact", "unknown-address", "processing-error", "not-synced"]
)
def test_a_malformed_trace_still_gives_a_sentence(trace, reason):
    read = read_trace(trace, reason=reason)
    found = explain(read, reason=reason, owner=MIA, starts="", is_expired=False)
    assert found
    assert read.rule_in_words
