"""What makes two messages the same message."""

from hypothesis import given
from hypothesis import strategies as st

from email_sync.message_keys import message_key, normalise_message_id, thread_key


def key(message_id="<a@b>", sender="ana@lumen.example", subject="Offer", provider_id="1"):
    return message_key(
        message_id, sender=sender, subject=subject, provider_id=provider_id, mailbox_address="m@x"
    )


def test_blanks_and_brackets_around_a_message_id_do_not_matter():
    assert key(" <a@b>\r\n ") == key("a@b") == key("<a@b>") == key("<a@\r\n b>")


def test_the_provider_id_does_not_matter_where_there_is_a_message_id():
    assert key(provider_id="1") == key(provider_id="2")


def test_a_reused_message_id_with_another_sender_or_subject_is_another_message():
    assert len({key(), key(sender="kim@harbor.example"), key(subject="Another")}) == 3


def test_a_subject_folded_or_decoded_another_way_is_the_same():
    assert key(subject="Re:  Offer\r\n 22") == key(subject="re: Offer 22")
    assert key(subject="Ｏffer") == key(subject="Offer")


def test_without_a_message_id_the_providers_id_decides():
    assert key("", provider_id="1") == key(" <> ", provider_id="1", subject="Changed")
    assert key("", provider_id="1") != key("", provider_id="2")


def test_a_case_sensitive_message_id_stays_so():
    assert key("<A@b>") != key("<a@b>")


@given(st.text(), st.text(), st.text(), st.text())
def test_any_headers_make_a_key_that_fits_its_column(message_id, sender, subject, provider_id):
    assert len(key(message_id, sender, subject, provider_id)) == 40
    assert "<" not in normalise_message_id(f"<{message_id}>") or "<" in message_id


def test_a_conversation_is_known_by_its_first_message():
    first = thread_key("<1@x>", in_reply_to="", references=(), own_key="k1")
    reply = thread_key("<2@x>", in_reply_to="<1@x>", references=("<1@x>",), own_key="k2")
    third = thread_key("<3@x>", in_reply_to="<2@x>", references=("<1@x>", "<2@x>"), own_key="k3")
    assert first == reply == third
    assert thread_key("", in_reply_to="", references=(), own_key="k4") == "k4"
