"""From Nylas's JSON to our types, without HTTP."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nylas.models.folders import Folder as SdkFolder

from crm_sync.providers.errors import PermanentError, ProviderError, TransientError
from crm_sync.providers.nylas_wire import (
    cut_body,
    folder_role,
    looks_like_html,
    moment,
    read_folders,
    read_message,
    read_page,
    split_references,
)
from crm_sync.providers.types import Address, Attachment, MessageHeaders, MessagePage

GOOD: dict[str, Any] = {
    "id": "m1",
    "object": "message",
    "grant_id": "g1",
    "thread_id": "t1",
    "date": 1_700_000_000,
    "subject": "Spring campaign",
    "from": [{"name": "Ann", "email": "Ann@Example.com"}],
    "to": [{"name": "Rep", "email": "rep@crm.example"}],
    "cc": [],
    "bcc": [],
    "folders": ["INBOX", "UNREAD"],
    "headers": [{"name": "Message-ID", "value": "<1@mail.example>"}],
}


def page_of(*items: Any, **envelope: Any) -> MessagePage:
    return read_page(json.dumps({"request_id": "r", "data": items, **envelope}).encode())


def only(**changes: Any) -> MessageHeaders:
    page = page_of(GOOD | changes)
    assert page.unreadable == ()
    return page.messages[0]


def test_a_whole_message_is_read():
    assert only() == MessageHeaders(
        id="m1",
        thread_id="t1",
        folder_ids=("INBOX", "UNREAD"),
        received_at=datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
        subject="Spring campaign",
        from_=(Address("Ann@Example.com", "Ann"),),
        to=(Address("rep@crm.example", "Rep"),),
        cc=(),
        bcc=(),
        has_headers=True,
        message_id="<1@mail.example>",
    )


def test_a_message_of_an_id_alone_is_read():
    message = page_of({"id": "m1"}).messages[0]
    assert (message.subject, message.from_, message.folder_ids) == ("", (), ())
    assert message.received_at is None
    assert not message.has_headers


def test_everything_but_the_id_may_be_null():
    message = page_of(dict.fromkeys(GOOD) | {"id": "m1"}).messages[0]
    assert message == page_of({"id": "m1"}).messages[0]


@pytest.mark.parametrize(
    ("date", "year"),
    [
        (0, 1970),
        (1_700_000_000, 2023),
        (1_700_000_000.75, 2023),
        ("1700000000", 2023),
        (4_102_444_800, 2100),
    ],
)
def test_dates_come_as_numbers_or_numeric_text(date: object, year: int):
    received_at = only(date=date).received_at
    assert received_at is not None
    assert (received_at.year, received_at.tzinfo) == (year, UTC)


@pytest.mark.parametrize(
    "date",
    [
        *("null", "-1", "1e20", "1700000000000", "NaN", "Infinity", "1e999", "1" + "0" * 5000),
        *('""', '"soon"', '"NaN"', "true", "[]", '{"at": 1}'),
    ],
    ids=lambda date: date[:20],
)
def test_an_absurd_date_is_no_date(date: str):
    page = read_page(b'{"data": [{"id": "m1", "date": %s}]}' % date.encode())
    assert page.messages[0].received_at is None


def test_a_date_no_calendar_has_is_no_date():
    assert moment(32_503_680_000) is None


@pytest.mark.parametrize("name", ["from", "to", "cc", "bcc"])
def test_addresses_tolerate_what_other_servers_send(name: str):
    entries = [
        {"email": "a@x.com"},
        {"email": "b@x.com", "name": None},
        {"name": "undisclosed recipients"},
        {"email": None, "name": None},
        {"email": "  "},
        {},
        None,
        "",
        "c@x.com",
    ]
    message = only(**{name: entries})
    found = message.from_ if name == "from" else getattr(message, name)
    assert found == (Address("a@x.com"), Address("b@x.com"), Address("c@x.com"))


def test_five_thousand_recipients_are_read():
    message = only(to=[{"email": f"p{n}@x.com", "name": ""} for n in range(5000)])
    assert len(message.to) == 5000
    assert message.to[4999].address == "p4999@x.com"


def test_a_subject_of_100_kb_is_read_whole():
    assert len(only(subject="é" * 100_000).subject) == 100_000


def test_folders_may_be_objects():
    assert only(folders=["A", {"id": "B", "name": "b"}, None, {}]).folder_ids == ("A", "B")


@pytest.mark.parametrize(
    ("value", "is_draft"), [("draft", True), ("message", False), (None, False)]
)
def test_a_draft_is_known_by_its_object(value: object, is_draft: bool):
    assert only(object=value).is_draft is is_draft


def test_headers_are_found_in_any_case_and_the_first_counts():
    headers = [
        {"name": "MESSAGE-ID", "value": " <first@x> "},
        {"name": "message-id", "value": "<second@x>"},
        {"name": "in-reply-to", "value": "<parent@x>"},
        {"name": "References", "value": "<a@x>\r\n <b@x><c@x>"},
        {"name": "Subject", "value": "of no interest"},
        {"name": None, "value": None},
        None,
    ]
    message = only(headers=headers)
    assert message.message_id == "<first@x>"
    assert message.in_reply_to == "<parent@x>"
    assert message.references == ("<a@x>", "<b@x>", "<c@x>")


def test_references_without_brackets_are_split_at_blanks():
    assert split_references("a@x  b@x") == ("a@x", "b@x")


def test_an_empty_list_of_headers_says_that_the_message_has_none():
    assert only(headers=[]).has_headers
    assert only(headers=[]).message_id == ""


def test_no_list_of_headers_says_nothing():
    without = {name: value for name, value in GOOD.items() if name != "headers"}
    assert not page_of(without).messages[0].has_headers
    assert not only(headers=None).has_headers


def test_nul_characters_are_stripped_from_every_text():
    message = only(
        id="m\x001",
        subject="a\x00b",
        **{"from": [{"email": "a\x00@x.com", "name": "\x00A"}]},
        headers=[{"name": "Message-ID", "value": "<1\x00@x>"}],
    )
    assert (message.id, message.subject, message.message_id) == ("m1", "ab", "<1@x>")
    assert message.from_ == (Address("a@x.com", "A"),)


def test_lone_surrogates_are_replaced_and_pairs_kept():
    content = rb'{"data": [{"id": "m1", "subject": "a\ud800b \ud83d\ude00 \udfff", "\ud800": 1}]}'
    assert read_page(content).messages[0].subject == "a\ufffdb \U0001f600 \ufffd"


def test_bytes_that_are_no_utf8_are_replaced():
    assert read_page(b'{"data": [{"id": "m1", "subject": "a\xffb"}]}').messages[0].subject == (
        "a\ufffdb"
    )


@pytest.mark.parametrize(
    ("bad", "id_"),
    [
        (None, ""),
        (5, ""),
        ("text", ""),
        ([], ""),
        ({}, ""),
        ({"id": ""}, ""),
        ({"id": None}, ""),
        ({"id": ["m9"]}, ""),
        ({"id": 9}, "9"),
        ({"id": "m9", "subject": {"secret": "of the body"}}, "m9"),
        ({"id": "m9", "from": "somebody"}, "m9"),
        ({"id": "m9", "to": [7]}, "m9"),
        ({"id": "m9", "headers": "secret"}, "m9"),
        ({"id": "m9", "folders": 3}, "m9"),
    ],
)
def test_one_odd_item_costs_only_itself(bad: Any, id_: str):
    page = page_of(GOOD, bad, GOOD | {"id": "m3"}, next_cursor="more")
    assert [message.id for message in page.messages] == ["m1", "m3"]
    assert [item.id for item in page.unreadable] == [id_]
    assert page.unreadable[0].cause.startswith("Nylas sent")
    assert "secret" not in page.unreadable[0].cause
    assert page.next_page == "more"


@pytest.mark.parametrize("cursor", [{}, {"next_cursor": None}, {"next_cursor": ""}])
def test_no_cursor_null_and_blank_mean_the_last_page(cursor: dict):
    assert page_of(GOOD, **cursor).next_page is None


@pytest.mark.parametrize("odd", [None, 5], ids=["quick way", "tolerant way"])
def test_body_and_snippet_of_a_listing_are_ignored(odd: object):
    items = [GOOD | {"body": "the secret text", "snippet": "the secret"}] + ([odd] if odd else [])
    assert "secret" not in repr(page_of(*items))


@pytest.mark.parametrize("content", [b"", b" ", b"<html></html>", b'{"data": [', b"\xff", b"nul"])
def test_what_is_no_json_is_transient(content: bytes):
    with pytest.raises(TransientError) as caught:
        read_page(content)
    assert caught.value.code == "not-json"


@pytest.mark.parametrize(
    "value",
    [
        *(None, 5, "text", [], [GOOD], {}, {"error": {"type": "x"}}),
        *({"data": None}, {"data": {}}, {"data": {"items": []}}, {"data": "x"}),
        {"data": [], "next_cursor": 7},
    ],
    ids=str,
)
def test_json_of_another_shape_never_passes_for_an_empty_page(value: object):
    with pytest.raises(ProviderError) as caught:
        read_page(json.dumps(value).encode())
    assert caught.value.code == "unexpected-answer"


def test_absurdly_nested_json_is_a_provider_error():
    with pytest.raises(ProviderError):
        read_page(b'{"data": [' + b"[" * 100_000 + b"]" * 100_000 + b"]}")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
ODD_MESSAGE = st.fixed_dictionaries({}, optional=dict.fromkeys(GOOD, JSON))
ODD_ENTRIES = st.sampled_from(["from", "to", "cc", "bcc", "folders", "headers"]).flatmap(
    lambda name: st.fixed_dictionaries({"id": st.text(), name: st.lists(JSON, max_size=3)})
)


@settings(max_examples=400, deadline=None)
@given(JSON | ODD_MESSAGE | ODD_ENTRIES)
def test_any_json_as_an_item_neither_raises_nor_loses_the_others(odd: Any):
    page = page_of(GOOD, odd, GOOD | {"id": "m3"})
    ids = [message.id for message in page.messages]
    assert ids[0] == "m1"
    assert ids[-1] == "m3"
    assert len(page.messages) + len(page.unreadable) == 3
    json.dumps([message.subject for message in page.messages]).encode()
    assert "\x00" not in "".join(message.id + message.subject for message in page.messages)


@settings(max_examples=200, deadline=None)
@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_answer_is_a_page_or_a_provider_error(content: bytes):
    for read in (read_page, read_folders, lambda content: read_message(content, "m1")):
        try:
            read(content)
        except ProviderError:
            pass


# --- one message ---------------------------------------------------------------------------------


def message_of(**changes: Any) -> Any:
    return read_message(json.dumps({"data": GOOD | changes}).encode(), "asked-for")


def test_a_message_comes_with_its_text_and_attachments():
    message = message_of(
        body="<p>Hello</p>",
        attachments=[
            {"filename": "a.pdf", "content_type": "application/pdf", "size": 10, "is_inline": True},
            {"filename": None, "content_type": None, "size": None},
            {"size": "big", "is_inline": None},
            {"size": -1},
            {"size": 3.0},
            {},
            None,
        ],
    )
    assert message.headers == only()
    assert (message.body, message.is_html) == ("<p>Hello</p>", True)
    assert message.attachments[0] == Attachment("a.pdf", "application/pdf", 10, is_inline=True)
    assert message.attachments[1] == Attachment("", "", 0)
    assert [attachment.size for attachment in message.attachments] == [10, 0, 0, 0, 3, 0]


def test_a_message_without_text_is_blank():
    assert message_of(body=None, attachments=None).body == ""


def test_a_message_that_does_not_repeat_its_id_has_the_one_asked_for():
    assert message_of(id=None).headers.id == "asked-for"


def test_nul_and_surrogates_in_a_text_do_not_kill_it():
    content = rb'{"data": {"id": "m1", "body": "a\u0000b\ud800"}}'
    assert read_message(content, "m1").body == "ab\ufffd"


def test_a_message_of_an_unknown_form_is_a_matter_of_this_one_message():
    with pytest.raises(PermanentError) as caught:
        message_of(body=["a secret"])
    assert caught.value.code == "unreadable-message"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("value", [{}, {"data": None}, {"data": []}, []], ids=str)
def test_an_answer_without_a_message_is_unexpected(value: object):
    with pytest.raises(ProviderError) as caught:
        read_message(json.dumps(value).encode(), "m1")
    assert caught.value.code == "unexpected-answer"


@pytest.mark.parametrize(
    "body",
    [
        "<p>Hello",
        "Hello<br>you",
        "<!DOCTYPE html><title>x</title>",
        "line<BR/>line",
        '<a href="https://x.com/?a=1&b=2">x</a>',
        "<!-- x -->",
        "<o:p></o:p>",
        "<div\nclass=x>",
    ],
)
def test_text_with_tags_is_html(body: str):
    assert looks_like_html(body)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "a < b and c > d",
        "a <b",
        "From: Ann <ann@example.com>",
        "See <https://example.com/a>",
        "Dear <your name>,",
        "<bob> wrote:",
        "I <3 you > all",
        "Ben &amp; Jerry",
        "<<< page >>>",
    ],
)
def test_text_without_tags_is_plain(body: str):
    assert not looks_like_html(body)


def test_a_text_over_the_cap_is_cut_and_says_so():
    assert cut_body("short", is_html=False) == "short"
    cut = cut_body("x" * 20, is_html=False, longest=10)
    assert cut.startswith("x" * 10 + "\n")
    assert "too long" in cut


def test_cut_html_does_not_end_inside_a_tag():
    cut = cut_body('<p>Hi</p><img src="data:xxxxxxx">', is_html=True, longest=20)
    assert cut.startswith("<p>Hi</p><p>[This message")


# --- folders -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "role"),
    [
        (["\\Inbox"], "inbox"),
        (["\\HasNoChildren", "\\SENT"], "sent"),
        (["\\Drafts"], "drafts"),
        (["\\Trash"], "trash"),
        (["\\Junk"], "junk"),
        (["\\Archive"], "archive"),
        ("['\\\\Sent']", "sent"),
        ("['\\\\Important', '\\\\Inbox']", "inbox"),
        ("\\Sent", "sent"),
        ("[]", ""),
        ("[broken", ""),
        ("7", ""),
        ([], ""),
        ([None, 3, {}], ""),
        (["\\Sentinel"], ""),
        (None, ""),
        ({}, ""),
    ],
    ids=str,
)
def test_a_folders_role_is_read_from_its_attributes(attributes: object, role: str):
    assert folder_role(attributes) == role


def test_the_role_survives_the_text_that_the_sdk_makes_of_attributes():
    folder = SdkFolder.from_dict(
        {"id": "1", "grant_id": "g", "name": "Gesendet", "attributes": ["\\Sent"]}
    )
    assert isinstance(folder.attributes, str)
    assert folder_role(folder.attributes) == "sent"
