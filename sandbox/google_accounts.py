"""Google's accounts: who may consent to what, which tokens are out, and their Gmail mailboxes.

Consents and refresh tokens are part of the recorded state; codes and access tokens end with the
process, and a client then does what it does whenever a token has run out.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from sandbox import gmail_generated, gmail_waiting, people
from sandbox.gmail_mailbox import GmailMailbox, Label

if TYPE_CHECKING:
    from sandbox.state import Sandbox

CLIENT_ID = "sandbox-google-client"
CLIENT_SECRET = "sandbox-google-secret"
INTAKE = f"crm.intake@{people.DOMAIN}"
SECOND = f"front.desk@{people.DOMAIN}"
NAMES = {INTAKE: "CRM Intake", SECOND: "Front Desk"}

TOKEN_LIFETIME = 3_599
CODE_LIFETIME = 600
# Google gives one client so many for one account; then the oldest ends without a word.
MOST_REFRESH_TOKENS = 100

# However many are generated, none is older than this before the oldest that waits.
GENERATED_SPAN = 10 * 86_400 * 1000

_AUTH = "https://www.googleapis.com/auth/"
EMAIL, PROFILE = _AUTH + "userinfo.email", _AUTH + "userinfo.profile"
READONLY, MODIFY = _AUTH + "gmail.readonly", _AUTH + "gmail.modify"
LABELS, METADATA = _AUTH + "gmail.labels", _AUTH + "gmail.metadata"
ALL_MAIL = "https://mail.google.com/"
# The older names, which come back as the newer ones.
RENAMED = {"email": EMAIL, "profile": PROFILE}
IDENTITY = frozenset({"openid", EMAIL, PROFILE})
SCOPES = {
    READONLY: "View your email messages and settings",
    MODIFY: "Read, compose and send emails from your Gmail account, and change labels",
    LABELS: "See and edit your email labels",
    METADATA: "View your email message metadata such as labels and headers, but not the body",
    ALL_MAIL: "Read, compose, send and permanently delete all your email from Gmail",
}


class Consent(msgspec.Struct):
    """What an account has allowed our one client; each refresh token has scopes of its own."""

    account: str
    scopes: list[str]
    refresh_tokens: dict[str, list[str]] = {}


class Code(msgspec.Struct):
    account: str
    scopes: list[str]  # what this request asked for and got
    redirect_uri: str
    challenge: str
    challenge_method: str
    is_offline: bool
    wants_refresh_token: bool  # prompt=consent, or the first consent
    nonce: str
    expires_at: int


class Access(msgspec.Struct):
    account: str
    scopes: frozenset[str]
    expires_at: float


class Settings(msgspec.Struct, forbid_unknown_fields=True):
    padding: bool = True
    token_lifetime: int = TOKEN_LIFETIME


class Google:
    def __init__(self, sandbox: Sandbox, intake_messages: int) -> None:
        self._sandbox = sandbox
        self.intake_messages = intake_messages
        self.consents: dict[str, Consent] = {}
        self.revoked: set[str] = set()  # refresh tokens
        self.codes: dict[str, Code] = {}
        self.used_codes: set[str] = set()
        self.access: dict[str, Access] = {}
        self.settings = Settings()
        self._mailboxes: dict[str, GmailMailbox] = {}

    # --- mailboxes ----------------------------------------------------------------------------

    def mailbox(self, account: str) -> GmailMailbox:
        if account not in self._mailboxes:
            self._mailboxes[account] = self._open(account)
        return self._mailboxes[account]

    def _open(self, account: str) -> GmailMailbox:
        world = self._sandbox.world
        generate = partial(gmail_generated.raw, world, account)
        mailbox = GmailMailbox(account, world.seed, generate)
        if account == INTAKE:
            waiting = gmail_waiting.mail(world, account)
            spacing = min(60_000, GENERATED_SPAN // max(1, self.intake_messages))
            mailbox.add_generated(
                self.intake_messages, until=waiting[0].at - 60_000, spacing=spacing
            )
            mailbox.forget_history()
            for mail in waiting:
                mailbox.add(mail.raw, at=mail.at, note=mail.note)
        return mailbox

    # --- tokens -------------------------------------------------------------------------------

    def access_of(self, token: str) -> Access | None:
        found = self.access.get(token)
        if found is None or found.expires_at <= self._sandbox.now():
            return None
        return found

    def now(self) -> int:
        return self._sandbox.now()

    def consent_of(self, refresh_token: str) -> Consent | None:
        for consent in self.consents.values():
            if refresh_token in consent.refresh_tokens:
                return consent
        return None

    def issue_access(self, account: str, scopes: list[str]) -> str:
        token = "ya29.a0" + secrets.token_urlsafe(40)
        expires_at = self._sandbox.now() + self.settings.token_lifetime
        self.access[token] = Access(account, frozenset(scopes), expires_at)
        return token

    def issue_refresh(self, account: str, scopes: list[str]) -> str:
        token = "1//0g" + secrets.token_urlsafe(40)
        operation = {"op": "google-refresh-token", "account": account, "token": token}
        self._sandbox.commit({**operation, "scopes": scopes})
        return token

    def consent(self, account: str, scopes: list[str]) -> None:
        self._sandbox.commit({"op": "google-consent", "account": account, "scopes": scopes})

    def expire_tokens(self, account: str | None = None) -> int:
        """End the access tokens that are out; returns how many."""
        ended = [a for a in self.access.values() if account in (None, a.account)]
        for access in ended:
            access.expires_at = 0
        return len(ended)

    def revoke(self, account: str) -> None:
        """The account's owner takes the consent back: every token of it ends."""
        self._sandbox.commit({"op": "google-revoke", "account": account})
        self.expire_tokens(account)
        self.codes = {code: c for code, c in self.codes.items() if c.account != account}

    # --- what happens: called only when a recorded operation is applied ------------------------

    def keep_consent(self, account: str, scopes: list[str]) -> None:
        consent = self.consents.setdefault(account, Consent(account, []))
        consent.scopes = scopes

    def keep_refresh_token(self, account: str, token: str, scopes: list[str]) -> None:
        tokens = self.consents[account].refresh_tokens
        tokens[token] = scopes
        if len(tokens) > MOST_REFRESH_TOKENS:
            del tokens[next(iter(tokens))]

    def drop_consent(self, account: str) -> None:
        if consent := self.consents.pop(account, None):
            self.revoked.update(consent.refresh_tokens)


Apply = Callable[[Google, dict[str, Any]], object]

# The operations of the log that are Google's; `state.py` knows the others.
APPLY: dict[str, Apply] = {
    "google-consent": lambda g, op: g.keep_consent(op["account"], op["scopes"]),
    "google-refresh-token": lambda g, op: g.keep_refresh_token(
        op["account"], op["token"], op["scopes"]
    ),
    "google-revoke": lambda g, op: g.drop_consent(op["account"]),
    "google-settings": lambda g, op: setattr(
        g, "settings", msgspec.convert(op["settings"], Settings)
    ),
    "gmail-mail": lambda g, op: g.mailbox(op["account"]).add_recorded(op),
    "gmail-generated": lambda g, op: g.mailbox(op["account"]).add_generated(
        op["count"], until=op["at"], spacing=1
    ),
    "gmail-labels": lambda g, op: g.mailbox(op["account"]).relabel(
        op["ids"], op["add"], op["remove"]
    ),
    "gmail-gone": lambda g, op: g.mailbox(op["account"]).remove(op["id"]),
    "gmail-label": lambda g, op: g.mailbox(op["account"]).put_label(
        msgspec.convert(op["label"], Label)
    ),
    "gmail-forget-history": lambda g, op: g.mailbox(op["account"]).forget_history(),
}
