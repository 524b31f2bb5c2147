"""By what an inline forward and the same mail from a mailbox are known to be one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from email_sync.fingerprints import bare_subject, fingerprint
from email_sync.subjects import kind_of, without_forward_prefix

BODY = (
    "Hi Mia,\n\nwe take the back cover for 1,200 €. See https://lumen.example/offer?id=7 please.\n"
)


@pytest.mark.parametrize(
    "same",
    [
        BODY.replace("\n", "\r\n"),
        "".join(f"> {line}\n" for line in BODY.splitlines()),
        BODY.replace(" the back", "\nthe back"),
        BODY.replace("https://lumen.example/offer?id=7", "<https://lumen.example/offer?id=7>"),
        BODY.replace("Mia", "Mia<mailto:mia@northsound.example>"),
        "[image: Lumen]\n" + BODY,
        "[cid:image001.png@01D]\n" + BODY,
        BODY.replace("take", "*take*"),
        BODY.upper(),
        BODY.replace(" ", "\N{NO-BREAK SPACE}"),
    ],
)
def test_what_forwarding_changes_does_not_matter(same):
    assert fingerprint(same) == fingerprint(BODY)


@pytest.mark.parametrize("other", [BODY.replace("1,200", "1,300"), "Hello. " + BODY, BODY[:20]])
def test_other_words_make_another_message(other):
    assert fingerprint(other) != fingerprint(BODY)


def test_what_stands_far_below_does_not_matter():
    assert fingerprint("a" * 120 + "b") == fingerprint("a" * 120 + "c")
    assert fingerprint("a" * 119 + "b") != fingerprint("a" * 119 + "c")


@pytest.mark.parametrize("empty", ["", " \n", "> \n>", "https://lumen.example/", "!?"])
def test_nothing_to_compare_is_no_fingerprint(empty):
    assert fingerprint(empty) == ""


@pytest.mark.parametrize(
    "subject",
    [
        "Spring issue",
        "Re: Spring  issue",
        "FW: RE: Spring issue",
        "WG: AW: spring issue",
        "Re[2]: Fwd: Spring issue",
        "[EXTERNAL] Fwd : Spring issue",
        "[Fwd: Spring issue]",
        "转发：Re: Spring issue",
        "İLT: Spring issue",
        "Redir.: Spring issue",
        "ΠΡΘ: Spring issue",
        "VS: Spring issue",
    ],
)
def test_subjects_are_compared_without_prefixes(subject):
    assert bare_subject(subject) == "spring issue"


@pytest.mark.parametrize(
    ("subject", "bare"),
    [("Offer: spring", "offer: spring"), ("Re: [list] Spring", "[list] spring"), ("Re:", "")],
)
def test_other_words_before_a_colon_stay(subject, bare):
    assert bare_subject(subject) == bare


@pytest.mark.parametrize(
    ("subject", "kind"),
    [
        ("Fwd: Re: x", "forward"),
        ("RE: FW: x", "reply"),
        ("[EXT] FW: x", "forward"),
        ("I: x", "forward"),
        ("R: x", "reply"),
        ("答复: x", "reply"),
        ("轉寄: x", "forward"),
        ("VS: x", ""),
        ("Offer: x", ""),
        ("", ""),
    ],
)
def test_the_outermost_prefix_tells_the_kind(subject, kind):
    assert kind_of(subject) == kind


def test_only_the_forwards_own_prefix_is_taken_off():
    assert without_forward_prefix("Fwd: RE: Offer") == "RE: Offer"
    assert without_forward_prefix("RE: Offer") == "RE: Offer"


@given(st.text(max_size=200))
def test_any_text_has_both(text):
    fingerprint(text)
    assert bare_subject(f"Fwd: {text}") == bare_subject(text)
