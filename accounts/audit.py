"""Writing the audit list: one line where something is done, in the same transaction."""

from accounts.models import AuditEntry, User

Action = AuditEntry.Action

COMMAND_LINE = "command line"


def record(action: Action, *, actor: User | None, about: str, owner: User | None = None) -> None:
    """Add to the audit list; `actor` None is the command line.

    `about` is a phrase without subjects or text of mail. Looking at what is one's own is nobody's
    business: `opened-…` by the owner is not recorded.
    """
    is_own = actor is not None and owner is not None and actor.pk == owner.pk
    if is_own and action in {Action.OPENED_EMAIL, Action.OPENED_HISTORY}:
        return
    AuditEntry.objects.create(
        action=action,
        actor=actor,
        actor_name=actor.display_name if actor else COMMAND_LINE,
        owner=owner,
        owner_name=owner.display_name if owner else "",
        about=about[:300],
    )
