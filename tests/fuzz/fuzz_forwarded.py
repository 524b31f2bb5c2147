"""What must hold for any bytes whatever; run by atheris (README.md) and by hypothesis.

python tests/fuzz/fuzz_forwarded.py -max_total_time=600 CORPUS tests/data/forwarded
"""

import importlib
import sys
import time
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script

from email_sync import fingerprints, forwarded, mime

MAILBOX = "crm.intake@northsound.example"
#: CPU seconds for one message: the issue's 0.5, and room for a fuzzer's own counting.
LIMIT = 2.0


def check(data: bytes) -> None:
    """Read the bytes as a message and as a forward; AssertionError where a rule does not hold."""
    started = time.process_time()
    check_received(mime.read(data))
    check_forwarded(forwarded._parse(mime.read(data), mailbox=MAILBOX))
    assert time.process_time() - started < LIMIT


def check_received(received: mime.Received) -> None:
    texts = [received.text, received.html, received.subject, received.message_id]
    texts += [received.in_reply_to, *received.references]
    for name in ("from", "to", "cc", "received", "authentication-results", "x-anything"):
        texts += received.headers(name)
        for address in received.addresses(name):
            assert address.address
            texts += [address.address, address.name]
    for attachment in received.attachments:
        assert attachment.size >= 0
        texts.append(attachment.name)
    assert all(map(is_storable, texts))
    assert received.date is None or is_aware(received.date)
    assert len(received.attached_messages) <= mime.MAX_ATTACHED_MESSAGES


def check_forwarded(found: forwarded.Forwarded) -> None:
    assert 0 <= found.confidence <= 1
    assert found.forwarded == bool(found.originals)
    assert (found.method == "none") == (not found.forwarded)
    assert is_storable(found.message)
    for original in found.originals:
        people = [*original.to, *original.cc]
        if original.from_ is not None:
            people.append(original.from_)
        assert all(is_storable(f"{one.address}{one.name}") for one in people)
        assert is_storable(f"{original.subject}{original.date_text}")
        assert is_storable(original.body)
        assert original.date is None or is_aware(original.date)
        if found.confidence >= 0.6:
            assert original.from_ is not None
            assert "@" in original.from_.address
        fingerprints.fingerprint(original.body)
        fingerprints.bare_subject(original.subject)


def is_storable(text: str) -> bool:
    """Whether PostgreSQL takes it: no NUL, no lone surrogates."""
    return "\0" not in text and text.encode("utf-8", "surrogatepass") == text.encode(
        "utf-8", "replace"
    )


def is_aware(date: datetime) -> bool:
    return date.utcoffset() is not None


def main() -> None:
    atheris = importlib.import_module("atheris")
    atheris.instrument_all()
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
