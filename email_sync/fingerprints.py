"""By what an inline forward is known to be a certain other message: pure functions."""

import hashlib
import re
import unicodedata

from email_sync.subjects import bare_subject as bare_subject  # the other half of the comparison

#: Letters and digits that are compared. A signature or a quoted thread below does not count, and
#: programs that cut long quotations do so far behind this.
_LENGTH = 120
#: Characters that are looked at for them.
_MAX_LOOKED_AT = 20_000

_IGNORED = re.compile(
    r"<?mailto:[^\s<>]{1,300}>?"
    r"|<?(?:https?|ftp)://[^\s<>\"]{1,2000}>?"
    r"|\[(?:image|cid|inline image|bild|imagen|immagine|afbeelding|画像)[^\[\]]{0,200}\]"
    r"|\[https?://[^\[\]\s]{1,2000}\]",
    re.IGNORECASE,
)


def fingerprint(text: str) -> str:
    """A digest of how a plain-text body begins; "" for one without letters or digits.

    It does not differ by: line ends and wrapping, blanks, quoting with “>”, bold marks, case,
    full-width forms, punctuation, links, `<mailto:…>`, image placeholders. It does differ by every
    other letter among the first 120, so also by a greeting that was cut off or a banner
    (“external sender”) that was put above.
    """
    shown = _IGNORED.sub(" ", text[:_MAX_LOOKED_AT])
    folded = unicodedata.normalize("NFKC", shown).casefold()
    letters = "".join(c for c in folded if c.isalnum())[:_LENGTH]
    if not letters:
        return ""
    return hashlib.blake2b(letters.encode("utf-8", "replace"), digest_size=16).hexdigest()
