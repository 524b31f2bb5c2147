"""Only what Gmail itself says on top, and only about the domain that stands in From."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from email_sync.authentication import is_aligned, read, verdict

US = "northsound.example"
GMAIL = "mx.google.com; "

PROVED = {
    "dmarc": "dmarc=pass (p=REJECT sp=REJECT dis=NONE) header.from=northsound.example",
    "dmarc alone": "dmarc=pass",
    "dkim by d": "dkim=pass header.d=northsound.example header.s=s1",
    "dkim by i": "dkim=pass header.i=@northsound.example header.s=s1 header.b=abc/+=",
    "dkim of a subdomain": "dkim=pass header.i=@mail.northsound.example",
    "the second signature": "dkim=pass header.i=@esp.example; "
    "dkim=pass header.d=northsound.example",
    "after a failed one": "dkim=fail header.d=northsound.example; "
    "dkim=pass header.d=northsound.example",
    "spf": "spf=pass (google.com: domain of mia@northsound.example designates 192.0.2.7 as "
    "permitted sender) smtp.mailfrom=mia@northsound.example",
    "spf, bare domain": "spf=pass smtp.mailfrom=bounce.northsound.example",
    "spf beside a failed dkim": "dkim=neutral (bad format) header.i=@x.example; "
    "spf=pass smtp.mailfrom=a@northsound.example",
    "odd blanks and case": "DKIM = Pass header . d = NorthSound.Example.",
    "a version": "dkim/1=pass header.d=northsound.example",
    "nested comments": "dkim=pass (a (b) c) header.d=northsound.example",
    "a reason": 'dkim=fail reason="no; dkim=pass"; dkim=pass header.d=northsound.example',
    "arc between": "dkim=pass header.d=northsound.example; arc=pass (i=1 spf=pass); spf=none",
}  # fmt: skip

NOT_PROVED = {
    "nothing": "none",
    "dmarc failed": "dmarc=fail (p=NONE) header.from=northsound.example",
    "dmarc of another": "dmarc=pass header.from=evil.example",
    "dmarc of a subdomain": "dmarc=pass header.from=x.northsound.example",
    "dkim of another": "dkim=pass header.d=evil.example",
    "dkim of a look-alike": "dkim=pass header.d=northsound.example.evil.example",
    "dkim of a suffix": "dkim=pass header.d=ound.example",
    "dkim failed": "dkim=fail header.d=northsound.example",
    "dkim without a domain": "dkim=pass header.s=s1",
    "spf of another": "spf=pass smtp.mailfrom=mia@evil.example",
    "spf with our name before the @": "spf=pass smtp.mailfrom=northsound.example@evil.example",
    "spf of the greeting only": "spf=pass smtp.helo=northsound.example",
    "spf softfail": "spf=softfail smtp.mailfrom=mia@northsound.example",
    "arc only": "arc=pass (i=1 dkim=pass dkdomain=northsound.example)",
    "an unknown method": "x-dmarc=pass header.from=northsound.example",
    "words of a comment": "spf=fail (dmarc=pass header.from=northsound.example) "
    "smtp.mailfrom=a@b.example",
    "strict alignment asked for": "dkim=pass header.d=mail.northsound.example; "
    "dmarc=fail header.from=northsound.example",
    # What the envelope sender was chosen to say.
    "quoted sender": 'spf=pass smtp.mailfrom="a; dmarc=pass header.from=northsound.example"'
    "@evil.example",
    "quoted property": 'spf=pass smtp.mailfrom="a header.d=northsound.example"@evil.example',
    "comment that seems closed": 'spf=fail (domain of "a); dmarc=pass ("@evil.example designates) '
    "smtp.mailfrom=x@evil.example; dmarc=fail",
    "two words about one check": "dmarc=pass header.from=northsound.example; dmarc=fail",
    "two about spf": "spf=pass smtp.mailfrom=a@northsound.example; "
    "spf=fail smtp.mailfrom=b@x.example",
    "a comment never closed": "dkim=pass (x header.d=northsound.example",
    "a quote never closed": 'dkim=pass header.d=northsound.example; spf=fail x="',
}  # fmt: skip


@pytest.mark.parametrize("results", PROVED.values(), ids=PROVED)
def test_what_proves_the_sender(results):
    assert verdict([GMAIL + results], domain=US).is_proved


@pytest.mark.parametrize("results", NOT_PROVED.values(), ids=NOT_PROVED)
def test_what_does_not(results):
    assert not verdict([GMAIL + results], domain=US).is_proved


GOOD = GMAIL + PROVED["dmarc"]


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [GMAIL + "dmarc=fail", GOOD],
        ["mx.evil.example; dmarc=fail", GOOD],
        ["", GOOD],
        ["mx.google.com.evil.example; " + PROVED["dmarc"]],
        ["(mx.google.com) mx.evil.example; " + PROVED["dmarc"]],
        ["evil.example mx.google.com; " + PROVED["dmarc"]],
        [PROVED["dmarc"]],
    ],
)
def test_only_gmails_own_header_on_top_counts(headers):
    assert not verdict(headers, domain=US).is_proved


@pytest.mark.parametrize(
    "server", ["mx.google.com", "MX.Google.COM", "mx.google.com 1", " mx.google.com "]
)
def test_gmail_by_any_spelling_of_its_name(server):
    assert verdict([f"{server}; {PROVED['dmarc']}", "mx.evil.example; x=y"], domain=US).is_proved


def test_the_words_name_what_was_found_and_about_whom():
    results = "dkim=pass header.i=@esp.example; spf=none smtp.mailfrom=a@b.example; dmarc=fail"
    found = verdict([GMAIL + results], domain=US)
    assert found.words == "dkim=pass (esp.example), spf=none (b.example), dmarc=fail"
    assert verdict([GOOD], domain=US).method == "dmarc"
    assert verdict([], domain=US).words == "Gmail wrote no result"


@pytest.mark.parametrize(
    ("one", "other", "are"),
    [
        ("a.example", "a.example", True),
        ("A.Example.", "a.example", True),
        ("mail.a.example", "a.example", True),
        ("a.example", "mail.a.example", True),
        ("a.co.uk", "mail.a.co.uk", True),
        # Sisters: only a list of public suffixes could tell.
        ("b.a.example", "c.a.example", False),
        ("a.co.uk", "b.co.uk", False),
        # Nobody owns these.
        ("co.uk", "a.co.uk", False),
        ("a.co.uk", "co.uk", False),
        ("example", "a.example", False),
        ("xa.example", "a.example", False),
        ("", "", False),
        ("a.example", "", False),
    ],
)
def test_who_may_speak_for_whom(one, other, are):
    assert is_aligned(one, other) is are
    assert is_aligned(other, one) is are


def test_strictly_only_the_domain_itself():
    assert is_aligned("a.example", "a.example", is_strict=True)
    assert not is_aligned("mail.a.example", "a.example", is_strict=True)


PIECES = st.sampled_from(
    ["mx.google.com", ";", " ", "(", ")", '"', "\\", "=", ".", "@", "dmarc", "dkim", "spf", "pass",
     "fail", "header", "from", "smtp", "mailfrom", "evil.example", "a"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=40).map("".join))
def test_nothing_that_names_only_others_ever_proves_us(header):
    assert not verdict([header], domain=US).is_proved or "dmarc=pass" in header


@given(st.text(max_size=200))
def test_nothing_raises(header):
    read(header)
    verdict([header], domain=US)
    verdict([GMAIL + header], domain=header)


def test_a_long_header_takes_no_time():
    started = time.process_time()
    for filling in ("a", "(", '"', "a=", "a.", ";", "a ", "=."):
        verdict([GMAIL + filling * 20_000], domain=US)
    assert time.process_time() - started < 2
