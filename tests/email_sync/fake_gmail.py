"""The monitored Gmail mailbox in memory, behind the gateway's protocol, and mail to put into it."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime

from crm_sync.providers.errors import HistoryExpired, ItemGone
from crm_sync.providers.types import IntakeMessage, IntakePage, IntakeProfile
from tests.email_sync.fake_gateway import NOW

CAPTURE = "crm.intake@northsound.example"
MIA = "mia@northsound.example"
ANA = "ana@lumen.example"


def proof(domain: str = "northsound.example") -> str:
    """What Gmail writes of a message that the domain signed."""
    return (
        f"mx.google.com;\r\n dkim=pass header.i=@{domain} header.s=s1 header.b=AbCdEf;\r\n"
        f" spf=pass (google.com: domain of bounce@{domain} designates 192.0.2.7 as permitted"
        f" sender) smtp.mailfrom=bounce@{domain};\r\n"
        f" dmarc=pass (p=NONE sp=NONE dis=NONE) header.from={domain}"
    )


def mail(
    *,
    from_: str = MIA,
    to: str = ANA,
    cc: str = "",
    subject: str = "Offer",
    text: str = "Dear Ana, here is the offer of which we spoke.",
    html: str = "",
    message_id: str | None = "<offer@northsound.example>",
    sent_at: datetime | None = NOW - timedelta(hours=2),
    results: str | None = proof(),
    attached: Sequence[bytes] = (),
    **headers: str,
) -> bytes:
    """A message as Gmail hands it out: its own headers on top. `x_name=` adds X-Name."""
    message = EmailMessage()
    message["Return-Path"] = headers.pop("return_path", "<bounce@northsound.example>")
    message["Received"] = "from mail.northsound.example by mx.google.com; Fri, 20 Nov 2026 10:00:00"
    if results is not None:
        message["Authentication-Results"] = results.replace("\r\n", "")
    for name, value in {
        "From": from_,
        "To": to,
        "Cc": cc,
        "Subject": subject,
        "Message-ID": message_id or "",
        "Date": format_datetime(sent_at) if sent_at else "",
    }.items():
        if value:
            message[name] = value
    for name, value in headers.items():
        message[name.replace("_", "-").title()] = value
    message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html")
    raw = message
    for number, original in enumerate(attached):
        raw.add_attachment(original, maintype="application", subtype="octet-stream",
                           filename=f"original-{number}.eml")  # fmt: skip
    return raw.as_bytes()


def forward(
    *,
    note: str = "For the record.",
    original_from: str = f"Ana Sato <{ANA}>",
    original_to: str = f"Mia Berg <{MIA}>",
    original_cc: str = "",
    original_subject: str = "Logo files",
    original_date: datetime | None = NOW - timedelta(days=1),
    original_text: str = "Dear Mia, please find our logo files attached, in three sizes.",
    **message: object,
) -> bytes:
    """A message forwarded in the text, as Gmail writes it; without the Message-ID of the original.

    Gmail names no zone: the date is that on the clock of who forwards.
    """
    block = ["---------- Forwarded message ---------", f"From: {original_from}"]
    if original_date is not None:
        local = original_date.astimezone(UTC)
        block.append(f"Date: {local:%a, %b} {local.day}, {local.year} at {local:%I:%M %p}")
    block += [f"Subject: {original_subject}", f"To: {original_to}"]
    block += [f"Cc: {original_cc}"] if original_cc else []
    text = "\n".join([note, "", *block, "", "", original_text])
    fields = {"to": CAPTURE, "subject": f"Fwd: {original_subject}", "message_id": "<fwd@x.example>"}
    return mail(text=text, **(fields | message))


@dataclass
class FakeGmail:
    """Lists newest first, keeps a history, and counts what is asked of it.

    `before` is called before each request with its kind and subject and may raise.
    """

    address: str = CAPTURE
    page_size: int = 3
    messages: dict[str, IntakeMessage] = field(default_factory=dict)
    #: Ids in the order in which they came in; their place is Gmail's mark.
    history: list[str] = field(default_factory=list)
    #: Marks before this one are forgotten.
    forgotten: int = 0
    tells_marks: bool = True
    labelled: dict[str, set[str]] = field(default_factory=dict)
    before: Callable[[str, str], None] = lambda kind, subject: None
    asked: Counter[str] = field(default_factory=Counter)
    fetched: list[str] = field(default_factory=list)

    def deliver(
        self,
        id: str,
        raw: bytes,
        *,
        received_at: datetime | None = NOW - timedelta(hours=1),
        labels: tuple[str, ...] = ("INBOX", "UNREAD"),
    ) -> None:
        self.messages[id] = IntakeMessage(id, f"t-{id}", labels, received_at, raw)
        self.history.append(id)

    @property
    def mark(self) -> str:
        return str(1000 + len(self.history)) if self.tells_marks else ""

    def profile(self) -> IntakeProfile:
        self._ask("profile", "")
        return IntakeProfile(self.address, self.mark)

    def message_page(self, *, page_token: str | None = None) -> IntakePage:
        self._ask("page", page_token or "")
        shown = [
            id
            for id in reversed(self.history)
            if id in self.messages and not {"SPAM", "TRASH"} & set(self.messages[id].label_ids)
        ]
        return self._page(list(dict.fromkeys(shown)), page_token, "")

    def history_page(self, history_id: str, *, page_token: str | None = None) -> IntakePage:
        self._ask("history", page_token or "")
        start = int(history_id) - 1000
        if start < self.forgotten:
            raise HistoryExpired("Gmail no longer knows what happened since then.")
        added = list(dict.fromkeys(self.history[start:]))
        return self._page(added, page_token, self.mark)

    def _page(self, ids: list[str], token: str | None, mark: str) -> IntakePage:
        start = int(token or 0)
        end = start + self.page_size
        more = str(end) if end < len(ids) else None
        return IntakePage(tuple(ids[start:end]), more, mark)

    def message(self, message_id: str) -> IntakeMessage:
        self.fetched.append(message_id)
        self._ask("message", message_id)
        if message_id not in self.messages:
            raise ItemGone("It is no longer in the mailbox.", status=404)
        return self.messages[message_id]

    def label(self, message_ids: Sequence[str], *, name: str) -> None:
        self._ask("label", name)
        for id in message_ids:
            self.labelled.setdefault(id, set()).add(name)

    def _ask(self, kind: str, subject: str) -> None:
        self.asked[kind] += 1
        self.before(kind, subject)
