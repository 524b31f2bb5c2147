"""Lists of people as they stand in headers and on label lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_sync.providers.types import Address
from email_sync.address_lists import is_plausible, parse

ANA, KIM = Address("ana@x.example", "Ana Li"), Address("kim@y.example", "Kim Doe")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ana Li <ana@x.example>, Kim Doe <kim@y.example>", [ANA, KIM]),
        ("Ana Li <ana@x.example>; Kim Doe <kim@y.example>;", [ANA, KIM]),
        (
            "Li, Ana <ana@x.example>, Doe, Kim <kim@y.example>",
            [Address("ana@x.example", "Li, Ana"), Address("kim@y.example", "Doe, Kim")],
        ),
        ("ana@x.example <ana@x.example>", [Address("ana@x.example")]),
        ("ana@x.example<mailto:ana@x.example>", [Address("ana@x.example")]),
        (
            "Ana Li <ana@x.example<mailto:ana@x.example>>, Kim Doe [mailto:kim@y.example]",
            [ANA, KIM],
        ),
        ("Ana Li [ana@x.example]", [ANA]),
        ("Ana Li (ana@x.example)", [ANA]),
        ("ana@x.example (Ana Li)", [ANA]),
        ("Ana Li (Lumen) <ana@x.example>", [Address("ana@x.example", "Ana Li (Lumen)")]),
        ("'Ana Li' <ana@x.example>", [ANA]),
        ("\"'Ana Li'\" <ana@x.example>", [ANA]),
        ("«Ana Li» <ana@x.example>", [ANA]),
        ("'Li, Ana' <ana@x.example>", [Address("ana@x.example", "Li, Ana")]),
        ("<ana@\nx.example>", [Address("ana@x.example")]),
        ('"odd one"@x.example', [Address('"odd one"@x.example')]),
        ("o'neil@x.example", [Address("o'neil@x.example")]),
        ("Ana Li; Kim Doe", [Address("", "Ana Li"), Address("", "Kim Doe")]),
        ("Li, Ana", [Address("", "Li, Ana")]),
        ("Ana Li", [Address("", "Ana Li")]),
        ("undisclosed-recipients:;", []),
        ("Friends: ana@x.example;", [Address("ana@x.example")]),
        ("", []),
    ],
)
def test_as_they_are_written(text, expected):
    assert list(parse(text)) == expected


@pytest.mark.parametrize(
    ("address", "plausible"),
    [
        ("ana@x.example", True),
        ("o'neil+a_b@mail.x.example", True),
        ("jörg@x.example", False),
        ("joerg@süßwaren.example", True),
        ("ana@x", False),
        ("ana@x.e", False),
        ("an=a@x.example", False),
        ("ana@x..example", False),
        ("ana@]x.example", False),
        ("ana", False),
        ("", False),
    ],
)
def test_what_can_be_an_address(address, plausible):
    assert is_plausible(address) is plausible


@given(st.text(max_size=200), st.integers(1, 5))
def test_any_text_is_read_within_the_limit(text, limit):
    found = parse(text, limit=limit)
    assert len(found) <= limit
    assert all(one.address or one.name for one in found)
