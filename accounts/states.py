"""What users see of each state of a mailbox: the manual's words (seed 000), and what to do next."""

from dataclasses import dataclass

from accounts.rules import State


@dataclass(frozen=True)
class Appearance:
    """`colour` is one of Tabler's, `icon` a name of static/icons.txt; `action` may be empty."""

    label: str
    colour: str
    icon: str
    sentence: str
    action: str = ""


APPEARANCES = {
    State.NOT_CONNECTED: Appearance(
        "not connected",
        "secondary",
        "plug-x",
        "No mailbox has been authorised yet, so nothing is read.",
        "Authorize",
    ),
    State.VALID: Appearance(
        "valid",
        "green",
        "circle-check",
        "All emails for folders, contacts and calendars are syncing reliably.",
    ),
    State.INVALID: Appearance(
        "invalid",
        "red",
        "plug-connected-x",
        "The account has an authorization issue and needs to be re-authenticated.",
        "Re-authorise",
    ),
    State.INITIALIZING: Appearance(
        "initializing",
        "blue",
        "plug-connected",
        "The account has been authorised and we are connecting to all of its folders.",
    ),
    State.DOWNLOADING: Appearance(
        "downloading",
        "blue",
        "cloud-download",
        "All folders are connected and the account's past messages are being read. Depending on "
        "the size of the mailbox this can take up to 24 hours; new mail is read meanwhile.",
    ),
    State.RUNNING: Appearance(
        "running",
        "green",
        "circle-check",
        "All emails for folders, contacts and calendars are syncing reliably.",
    ),
    State.PARTIAL: Appearance(
        "partial",
        "yellow",
        "alert-triangle",
        "One or more folders do not fully sync at the moment; the others do. This is typically "
        "temporary, and accounts usually recover by themselves.",
        "Check the folders",
    ),
    State.INVALID_CREDENTIALS: Appearance(
        "invalid-credentials",
        "red",
        "key",
        "The mail provider no longer accepts our access: the connection settings or the password "
        "were changed there. The account must be authorised again.",
        "Re-authorise",
    ),
    State.EXCEPTION: Appearance(
        "exception",
        "danger-muted",
        "zoom-question",
        "The mail provider answered something that we do not understand yet. We try again by "
        "ourselves; if it stays like this, contact Support.",
        "Sync now",
    ),
    State.SYNC_ERROR: Appearance(
        "sync-error",
        "danger-muted",
        "alert-circle",
        "An unexpected error was raised while syncing this account. We try again by ourselves; "
        "if it stays like this, contact Support.",
        "Sync now",
    ),
    State.STOPPED: Appearance(
        "stopped",
        "red",
        "player-stop",
        "The same error came again and again, or the mail server could not be reached, so the "
        "account has stopped syncing. It can be restarted.",
        "Restart",
    ),
}


def appearance(state: State) -> Appearance:
    return APPEARANCES[state]
