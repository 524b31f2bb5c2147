"""How addresses are compared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.addresses import domain_of, normalise


@pytest.mark.parametrize(
    ("written", "compared"),
    [
        ("Ana@Lumen.Example", "ana@lumen.example"),
        ("  ana@lumen.example \t", "ana@lumen.example"),
        ("<ana@lumen.example>", "ana@lumen.example"),
        ('"Sato, Ana" <ana@lumen.example>', "ana@lumen.example"),
        ("Ana <ana@lumen.example", "ana@lumen.example"),
        ("ana\u200b@lumen.example", "ana@lumen.example"),
        ("ana@lumen.example\x00", "ana@lumen.example"),
        ("ＡＮＡ@lumen.example", "ana@lumen.example"),
        ("STRASSE@ß.example", "strasse@ss.example"),
        ("田中@例え.example", "田中@例え.example"),
        ("no address", ""),
        ("", ""),
    ],
)
def test_what_looks_the_same_is_the_same(written, compared):
    assert normalise(written) == compared


@given(st.text())
def test_normalising_never_fails_and_is_stable(text):
    once = normalise(text)
    assert normalise(once) == once
    assert "\x00" not in once


def test_the_domain_is_behind_the_last_at():
    assert domain_of('"a@b"@lumen.example') == "lumen.example"
