"""Entries of the intake in plain words: what was found, and what to do."""

import pytest

from email_sync import intake_rules, mime
from email_sync.models import LedgerEntry
from monitor.explanations import RULES, Owner, explain, read_trace
from tests.email_sync.fake_gmail import ANA, CAPTURE, MIA, mail
from tests.email_sync.test_intake_rules import AUTOMATIC, INTAKE, PEOPLE

OWNER = Owner.called("Mia", is_reader=False)


def words(trace, reason):
    read = read_trace(trace, reason=reason)
    return explain(read, reason=reason, owner=OWNER, starts="", is_expired=False)


def explained(**fields):
    """The sentence for a message as the rules judge it."""
    message = mime.read(mail(**fields))
    found = intake_rules.judge(message, intake=INTAKE, people=PEOPLE)
    return words({"intake": found.trace}, found.reason)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"return_path": "<>"},
         "Its envelope names no sender, as bounces do. Nothing needs to be done."),
        ({"from_": CAPTURE},
         "It is from the intake mailbox itself. "
         "Check that no rule sends the intake mailbox its own mail."),
        ({"from_": "x@other.example"},
         "x@other.example is not a user's address. "
         "If it is a user's, add it to their aliases and try again from the review list."),
        ({"results": None},
         "It says that it is from Mia Berg, but Gmail could not prove it. "
         "An admin can approve it in the review list, or trust the address from now on."),
        (AUTOMATIC,
         f"{MIA} forwards its mail by itself. "
         "Forward single messages by hand, or let an admin allow automatic forwarding."),
    ],
)  # fmt: skip
def test_a_sentence_says_what_was_found_and_what_to_do(fields, sentence):
    assert explained(**fields) == sentence


INTAKE_REASONS = (
    "automated-mail calendar-invite loop sender-not-registered sender-not-authenticated "
    "forward-unparsed forward-unsure several-originals automatic-forward source-off"
).split()


@pytest.mark.parametrize("reason", INTAKE_REASONS)
@pytest.mark.parametrize(
    "trace", [None, {}, {"intake": None}, {"intake": {"steps": [1], "claimed": 2}}]
)
def test_every_reason_has_a_sentence_whatever_is_left_of_its_trace(reason, trace):
    found = words(trace, reason)
    assert found.endswith(".")
    assert reason not in found


def test_every_reason_has_a_rule():
    assert set(LedgerEntry.Reason) <= set(RULES)


def seen(address, **more):
    return {"address": address, "role": "to", "is_own": False, "contacts": [], **more}


def test_who_was_not_looked_for_is_not_named():
    trace = {"addresses": [seen("x@other.example"), seen(ANA, is_tried=False)]}
    assert words(trace, "unknown-address") == "No contact has the address x@other.example."


def test_colleagues_are_no_strangers():
    trace = {"addresses": [seen("boss@northsound.example", is_inside=True)]}
    assert words(trace, "unknown-address") == "Only Mia's own addresses and colleagues are on it."


def test_a_contact_that_was_not_looked_for_is_not_why_it_does_not_match():
    lee = {"name": "Lee", "customer": "Harbor", "customer_id": 1, "is_mine": False}
    kim = lee | {"name": "Kim"}
    trace = {"addresses": [seen("lee@x.example", contacts=[lee]),
                           seen("kim@x.example", contacts=[kim], is_tried=False)]}  # fmt: skip
    assert words(trace, "not-my-contact").startswith("Lee is a contact of Harbor")


def test_the_trace_keeps_the_steps_and_the_decision():
    trace = read_trace(
        {"intake": {"steps": [{"rule": "kind", "words": "A BCC."}], "claimed": {"name": "Mia"}},
         "decided": "Ada: approved."},
        reason="matched",
    )  # fmt: skip
    assert [(step.rule, step.words) for step in trace.steps] == [("kind", "A BCC.")]
    assert (trace.claimed, trace.decided) == ("Mia", "Ada: approved.")
