"""What the monitored mailbox does with a message: the rules of the intake, in their order.

Pure functions over plain values (intake sheet, “The rules, in order”). Rule 5 is in
`authentication`, rule 8 in `rules.decide`, rule 9 in `originals`.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from msgspec import Struct, field
from msgspec.structs import replace

from accounts.addresses import domain_of, normalise
from email_sync.authentication import Verdict, verdict
from email_sync.mime import Received
from email_sync.rules import Comparison

#: What we write on mail of our own, so that it is known should it ever come back.
LOOP_HEADER = "X-CRM-Sync"
MAX_HOPS = 50
#: Below this a forward is not taken for what it seems to be, but shown to a person.
SURE_ENOUGH = 0.6

_DAEMONS = frozenset({"mailer-daemon", "maildaemon", "mail-daemon", "postmaster"})
_REPORTS = frozenset({"delivery-status", "disposition-notification", "feedback-report"})
#: How the subjects of bounces and automatic replies begin, case-folded. Never a bare “Out of
#: office”: people write that themselves. With Fwd: before it somebody forwards one.
_AUTOMATIC_SUBJECTS = (
    "automatic reply", "automatic response", "auto-reply", "autoreply", "auto reply",
    "auto-response", "auto response", "out of office:", "out of the office:",
    "out of office auto", "undeliverable:", "undelivered mail returned", "undelivered message",
    "delivery status notification", "delivery has failed", "delivery failure",
    "delivery incomplete", "mail delivery failed", "mail delivery failure",
    "mail delivery subsystem", "message undeliverable", "returned mail:", "failure notice",
    "automatische antwort", "abwesenheitsnotiz", "unzustellbar:", "automatisch antwoord",
    "onbestelbaar:", "réponse automatique", "non remis", "respuesta automática",
    "no se puede entregar:", "risposta automatica", "non recapitabile:", "resposta automática",
    "não é possível entregar", "autosvar", "automatisk svar", "automatiskt svar",
    "automaattinen vastaus", "automatyczna odpowiedź", "automatická odpověď",
    "automatikus válasz", "răspuns automat", "otomatik yanıt", "автоответ", "自動応答",
    "自动答复", "自動回覆", "자동 회신",
)  # fmt: skip

Source = Literal["bcc", "fwd"]


def canonical(address: str) -> str:
    """The mailbox behind an address: without its plus tag, and at Gmail without dots."""
    local, _, domain = normalise(address).rpartition("@")
    local = local.partition("+")[0] or local
    if domain in {"gmail.com", "googlemail.com"}:
        local, domain = local.replace(".", ""), "gmail.com"
    return f"{local}@{domain}" if domain else ""


class Rep(Struct, frozen=True):
    """An active user as the intake knows them. `own` are all their addresses, normalised."""

    id: int
    name: str
    own: frozenset[str] = frozenset()
    time_zone: str = "UTC"


class People(Struct, frozen=True):
    """Who the users are.

    `verified` are active users by the addresses that are known to be theirs, `by_mailbox` by the
    canonical form of those. `trusted` are the ones that an admin trusts without proof, `everybody`
    all addresses of all users, former ones too.
    """

    reps: Mapping[int, Rep] = field(default_factory=dict)
    verified: Mapping[str, frozenset[int]] = field(default_factory=dict)
    by_mailbox: Mapping[str, frozenset[int]] = field(default_factory=dict)
    trusted: frozenset[str] = frozenset()
    everybody: frozenset[str] = frozenset()


class Intake(Struct, frozen=True):
    """The monitored mailbox, and what the admins decided about it."""

    address: str
    bcc: bool = True
    fwd: bool = True
    automatic_forwarding: bool = False
    company_domains: frozenset[str] = frozenset()

    def is_it(self, address: str) -> bool:
        return canonical(address) == canonical(self.address)

    def is_on(self, source: Source) -> bool:
        return self.bcc if source == "bcc" else self.fwd


class Ruling(Struct, frozen=True):
    """What a person decided about one message; it stands above what the rules found.

    `email_id` is the stored email that a forward's original is (0: none of them).
    """

    by: str
    is_sender_proved: bool = False
    original_sender: str = ""
    original_date: datetime | None = None
    email_id: int | None = None


class Step(Struct, frozen=True):
    """One rule and what it found, in words, for the trace."""

    rule: str
    words: str


class Judgement(Struct, frozen=True):
    """How far a message came. `reason` is why no further, "" where its contacts are looked for.

    `rep` is who sent it, as far as that is proved; `claimed` is who it says it is from.
    `is_automatic`: the rep's mail account forwarded it by itself.
    """

    source: Source
    reason: str
    rep: Rep | None
    claimed: Rep | None
    steps: tuple[Step, ...]
    is_automatic: bool = False

    def after(self, *steps: Step, reason: str = "") -> "Judgement":
        return replace(self, steps=self.steps + steps, reason=reason)

    @property
    def trace(self) -> dict[str, Any]:
        claimed = {"id": self.claimed.id, "name": self.claimed.name} if self.claimed else None
        return {
            "claimed": claimed,
            "steps": [{"rule": step.rule, "words": step.words} for step in self.steps],
        }


def judge(
    message: Received, *, intake: Intake, people: People, ruling: Ruling | None = None
) -> Judgement:
    """Rules 1 to 7: whether a message is a rep's, and which kind it is.

    Rule 7 comes before rule 4: the From of mail that was forwarded automatically is a stranger's,
    and to say only that would not help anybody. Who sent it is found out for every message, since
    a rep's own history shows what became of it, whichever rule ended it.
    """
    forwarder = forwarded_by(message, intake=intake)
    if forwarder is not None:
        return _judge_automatic(message, forwarder, intake=intake, people=people)
    sender = sender_of(message, people=people)
    claimed = people.reps.get(sender.rep_id) if sender.rep_id is not None else None
    kind = kind_of(message, own=sender.own, intake=intake, people=people)
    proof = is_it_really(message, sender, people=people, ruling=ruling)
    rep = claimed if proof.is_proved else None
    found = Judgement(kind.source, "", rep, claimed, (Step("sender", sender.words),))
    if claimed is not None:
        found = found.after(Step("authentication", proof.words))
    if ended := _unsuitable(message, intake=intake):
        return found.after(ended.step, reason=ended.reason)
    found = found.after(Step("kind", kind.words))
    if not intake.is_on(kind.source):
        return found.after(reason="source-off")
    if claimed is None:
        return found.after(reason="sender-not-registered")
    return found.after(reason="" if rep else "sender-not-authenticated")


def _judge_automatic(
    message: Received, forwarder: str, *, intake: Intake, people: People
) -> Judgement:
    """Rule 7: mail that an account forwarded by itself. It proves nobody, so an admin must wish it;
    then it is that account's user's."""
    words = f"{forwarder or 'An account'} forwards its mail by itself."
    found = Judgement("fwd", "", None, None, (Step("automatic-forwarding", words),), True)
    if ended := _unsuitable(message, intake=intake):
        return found.after(ended.step, reason=ended.reason)
    if not intake.automatic_forwarding:
        return found.after(reason="automatic-forward")
    sender = rep_by_address(forwarder, people=people)
    rep = people.reps.get(sender.rep_id) if sender.rep_id is not None else None
    found = replace(found.after(Step("sender", sender.words)), rep=rep, claimed=rep)
    if not intake.fwd:
        return found.after(reason="source-off")
    return found.after(reason="" if rep else "sender-not-registered")


class _End(Struct, frozen=True):
    reason: str
    step: Step


def _unsuitable(message: Received, *, intake: Intake) -> _End | None:
    """Rules 1 to 3."""
    for rule, reason, words in (
        ("system-mail", "automated-mail", is_automated(message)),
        ("calendar", "calendar-invite", is_invitation(message)),
        ("loop", "loop", is_loop(message, intake=intake)),
    ):
        if words:
            return _End(reason, Step(rule, words))
    return None


# --- rules 1 to 3: mail that no person sent -------------------------------------------------------
def is_automated(message: Received) -> str:
    """Rule 1: why it is system mail, in words; "" where it is not."""
    if message.content_type == "multipart/report" or message.report_type in _REPORTS:
        return "It is a report of a mail system."
    if message.header("return-path").strip() == "<>":
        return "Its envelope names no sender, as bounces do."
    locals_ = {a.address.rpartition("@")[0].casefold() for a in message.addresses("from")}
    if locals_ & _DAEMONS:
        return "A mail system sent it."
    submitted = message.header("auto-submitted").partition(";")[0].strip().lower()
    if submitted and submitted != "no":
        return "It says of itself that it was sent automatically."
    if message.header("x-autoreply") or message.header("x-autorespond"):
        return "It says of itself that it is an automatic reply."
    if message.subject.casefold().startswith(_AUTOMATIC_SUBJECTS):
        return "Its subject is that of a bounce or an automatic reply."
    return ""


def is_invitation(message: Received) -> str:
    """Rule 2: an invitation, an answer to one, or its cancellation."""
    return "It holds a calendar invitation." if message.calendar_method else ""


def is_loop(message: Received, *, intake: Intake) -> str:
    """Rule 3: mail of the monitored mailbox itself, or of ours, or going in circles."""
    if any(intake.is_it(sender.address) for sender in message.addresses("from")):
        return "It is from the intake mailbox itself."
    if message.header(LOOP_HEADER):
        return "The CRM sent it."
    hops = len(message.headers("received"))
    if hops > MAX_HOPS:
        return f"It went through {hops} mail servers."
    return ""


# --- rules 4 and 5: who sent it -------------------------------------------------------------------
class Sender(Struct, frozen=True):
    """Who a message says it is from; `rep_id` where that is exactly one user."""

    address: str
    rep_id: int | None
    words: str
    own: frozenset[str] = frozenset()


def sender_of(message: Received, *, people: People) -> Sender:
    """Rule 4: the one From, compared with the addresses that are known to be users'.

    Sender, Reply-To and display names are anybody's to write and prove nothing.
    """
    senders = message.addresses("from")
    if len(senders) != 1:
        number = len(senders) or "no"
        return Sender("", None, f"It names {number} senders in From, and not one.")
    return rep_by_address(senders[0].address, people=people)


def rep_by_address(address: str, *, people: People) -> Sender:
    """The user of an address, or of the mailbox that its plus tag (at Gmail: dots) leads to."""
    address = normalise(address)
    users = people.verified.get(address) or people.by_mailbox.get(canonical(address), frozenset())
    if len(users) > 1:
        return Sender(address, None, f"{address} belongs to {len(users)} users.")
    rep = next((people.reps[user] for user in users if user in people.reps), None)
    if rep is None:
        return Sender(address, None, f"{address or 'The sender'} is not a user's address.")
    return Sender(address, rep.id, f"{address} is {rep.name}.", rep.own)


def is_it_really(
    message: Received, sender: Sender, *, people: People, ruling: Ruling | None = None
) -> Verdict:
    """Rule 5: whether From is proved, by Gmail's own word, an admin's trust, or a decision."""
    if ruling is not None and ruling.is_sender_proved:
        return Verdict(is_proved=True, method="person", words=f"{ruling.by} approved the sender.")
    found = verdict(message.headers("authentication-results"), domain=domain_of(sender.address))
    if found.is_proved:
        return Verdict(is_proved=True, method=found.method, words=f"Gmail: {found.words}.")
    if sender.address in people.trusted:
        words = f"An admin trusts {sender.address}. Gmail: {found.words}."
        return Verdict(is_proved=True, method="trusted", words=words)
    return Verdict(is_proved=False, method="", words=f"Not proved. Gmail: {found.words}.")


# --- rules 6 and 7: which kind it is --------------------------------------------------------------
class Kind(Struct, frozen=True):
    source: Source
    words: str


def kind_of(message: Received, *, own: frozenset[str], intake: Intake, people: People) -> Kind:
    """Rule 6, by To and Cc: a hidden copy, a copy beside an outside recipient, or a forward."""
    named = (*message.addresses("to"), *message.addresses("cc"))
    recipients = {normalise(person.address) for person in named} - {""}
    others = {address for address in recipients if not intake.is_it(address)}
    if others == recipients:
        return Kind("bcc", "The intake mailbox is neither in To nor in Cc: a BCC.")
    mine = own | {normalise(sender.address) for sender in message.addresses("from")}
    if any(a not in mine and not is_inside(a, intake=intake, people=people) for a in others):
        return Kind("bcc", "The intake mailbox stands beside an outside recipient: a logged copy.")
    return Kind("fwd", "It was sent to the intake mailbox alone, or inside the company: a forward.")


def is_inside(address: str, *, intake: Intake, people: People) -> bool:
    """Whether a normalised address is a user's or the company's."""
    return (
        address in people.everybody
        or canonical(address) in people.by_mailbox
        or domain_of(address) in intake.company_domains
    )


def forwarded_by(message: Received, *, intake: Intake) -> str | None:
    """Rule 7: the account that forwards its mail by itself, as Gmail notes it; None for none.

    "" where the account is not named. Without our mailbox in them the headers tell of an earlier
    forwarding, which is not the intake's matter.
    """
    accounts = [
        account
        for name in ("x-forwarded-for", "x-forwarded-to")
        for account in map(normalise, message.header(name).replace(",", " ").split())
        if account
    ]
    if not any(map(intake.is_it, accounts)):
        return None
    return next((account for account in accounts if not intake.is_it(account)), "")


# --- rule 8: whom it is about ---------------------------------------------------------------------
class Inquiry(Struct, frozen=True):
    """Which addresses of a message are looked for among the rep's contacts, for `rules.decide`.

    `inside` are those that never match: the company's.
    """

    addresses: dict[str, tuple[str, ...]]
    compared: Comparison
    own: frozenset[str]
    inside: frozenset[str]


def about_bcc(addresses: Mapping[str, tuple[str, ...]], rep: Rep, *, intake: Intake) -> Inquiry:
    """Of what the rep sent: its To and Cc."""
    return _inquiry(addresses, rep, Comparison("sent", ("to", "cc")), intake=intake)


def about_original(
    addresses: Mapping[str, tuple[str, ...]], rep: Rep, *, intake: Intake, people: People
) -> Inquiry:
    """Of a forwarded message: its From; To and Cc where the rep or a colleague had written it."""
    senders = addresses["from"]
    is_ours = any(a in rep.own or is_inside(a, intake=intake, people=people) for a in senders)
    compared = Comparison("sent", ("to", "cc")) if is_ours else Comparison("received", ("from",))
    return _inquiry(addresses, rep, compared, intake=intake)


def _inquiry(
    addresses: Mapping[str, tuple[str, ...]], rep: Rep, compared: Comparison, *, intake: Intake
) -> Inquiry:
    kept = {role: _without(group, intake) for role, group in addresses.items()}
    everybody = {address for group in kept.values() for address in group}
    inside = {address for address in everybody if domain_of(address) in intake.company_domains}
    own = rep.own | (set(kept["from"]) if compared.direction == "sent" else set())
    return Inquiry(kept, compared, own=frozenset(own), inside=frozenset(inside))


def _without(addresses: Iterable[str], intake: Intake) -> tuple[str, ...]:
    """The addresses without the monitored mailbox, which is nobody."""
    return tuple(address for address in addresses if not intake.is_it(address))


# --- when it was sent -----------------------------------------------------------------------------
def sent_at(date: datetime | None, received_at: datetime | None) -> datetime | None:
    """The date that a message claims, where Google did not receive it long before or after that.

    A clock that is wrong by years would hide the message at the far end of every list.
    """
    if date is None or received_at is None:
        return received_at or date
    is_likely = received_at - timedelta(days=30) <= date <= received_at + timedelta(days=1)
    return date if is_likely else received_at
