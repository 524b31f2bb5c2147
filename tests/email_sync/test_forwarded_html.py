"""The HTML of a forward as lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from email_sync.forwarded_html import lines_of
from email_sync.forwarded_lines import joined


def texts(html: str) -> list[str]:
    return [line.text for line in lines_of(html)]


def test_blocks_and_breaks_end_lines():
    assert texts("<div>a<br>b</div><p>c\n d</p>e<table><tr><td>f</td></tr></table>") == [
        "a",
        "b",
        "c d",
        "e",
        "f",
    ]


def test_blank_lines_are_those_that_the_writer_sees():
    assert texts("<div>a</div><div><br></div><div>b</div>") == ["a", "", "b"]
    assert texts("<p>a</p>\n\n<p>&nbsp;</p><p>b</p>") == ["a", "", "b"]
    assert joined(lines_of("<p>a</p><p>b</p>")) == "a\n\nb"


def test_cells_of_a_row_are_told_apart():
    assert texts("<table><tr><th>From: </th><td>Ana</td></tr></table>") == ["From: \tAna"]


def test_preformatted_text_keeps_its_lines():
    assert texts("<pre>a\n  b\n</pre>") == ["a", "b"]


def test_what_is_not_shown_is_no_text():
    html = (
        "<style>x{}</style><!-- y --><script>z</script><title>t</title><!DOCTYPE html>a<o:p></o:p>"
    )
    assert texts(html) == ["a"]


def test_links_to_addresses_are_written_out_beside_the_text():
    [line] = lines_of(
        "<a href='mailto:ana%40lumen.example?subject=x'>Ana</a>, <a href='mailto:k@x'>k@x</a>"
    )
    assert line.text == "Ana, k@x"
    assert line.linked == "Ana <mailto:ana@lumen.example>, k@x"


def test_depth_counts_quotations():
    lines = lines_of("a<blockquote>b<blockquote type=cite>c</blockquote></blockquote>d")
    assert [(line.text, line.depth) for line in lines] == [("a", 0), ("b", 1), ("c", 2), ("d", 0)]


@pytest.mark.parametrize(
    ("html", "structure"),
    [
        ("<div dir=ltr class='gmail_attr'>x</div>", "gmail"),
        ("<table class='moz-email-headers-table'><tr><td>x</td></tr></table>", "thunderbird"),
        ("<div id='x_divRplyFwdMsg'>x</div>", "outlook"),
        ("<div style='border:none;border-top:solid #E1E1E1 1.0pt'><p>x</p></div>", "outlook"),
        ("<blockquote type='cite'>x</blockquote>", "apple"),
        ("<div class='gmail_quote'>x</div>", ""),
    ],
)
def test_the_structures_of_programs_are_known(html, structure):
    lines = lines_of(f"a{html}b")
    assert [(line.structure) for line in lines] == ["", structure, ""]


def test_places_in_the_source_hold_where_lower_case_is_longer():
    html = "<div>İİİ</div><STYLE>x</STYLE><div>b</div>"
    last = lines_of(html)[-1]
    assert html[last.start : last.end] == "b"


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("a < b", ["a < b"]),
        ("a<", ["a<"]),
        ("<a href='x>b</a>", ["b"]),
        ("<a title='>'>b</a>", ["b"]),
        ("<!-- unclosed", ["unclosed"]),
        ("<style>unclosed", ["unclosed"]),
        ("</div></p>b</b>", ["b"]),
        ("<div><b>a</div>b</b>", ["a", "b"]),
        (
            "&#99999999999; &amp;amp; &#0;",
            ["\N{REPLACEMENT CHARACTER} &amp; \N{REPLACEMENT CHARACTER}"],
        ),
        ("&#" + "9" * 5_000 + ";", ["&#" + "9" * 5_000 + ";"]),
    ],
)
def test_broken_markup_is_read(html, expected):
    assert texts(html) == expected


@given(st.text("<>/a='\"!-& \nb", max_size=200))
def test_any_markup_gives_lines_in_order(html):
    position = 0
    for line in lines_of(html):
        assert position <= line.start <= line.end <= len(html)
        position = line.start
