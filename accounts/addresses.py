"""Email addresses as the product compares them."""

import unicodedata
from email.utils import parseaddr
from functools import lru_cache

# RFC 5321 allows 254 octets; what is longer is nobody's address but may stand in a header.
MAX_ADDRESS_LENGTH = 320


# A mailbox names the same few hundred people over and over.
@lru_cache(maxsize=8192)
def normalise(address: str) -> str:
    """The form in which addresses are stored and compared: trimmed, case-folded, bare.

    Display name and angle brackets come off, invisible characters too, Unicode is brought to one
    form (NFKC), so that what looks the same is the same. "" where nothing like an address is left.
    """
    text = unicodedata.normalize("NFKC", address).strip()
    if "<" in text:
        text = parseaddr(text)[1] or text.partition("<")[2].partition(">")[0]
    text = "".join(c for c in text if unicodedata.category(c) not in {"Cf", "Cc", "Cs"})
    text = text.strip().strip("<>").strip().casefold()
    return text if "@" in text else ""


def normalise_domain(text: str) -> str:
    """A domain as it is compared: “ @Acme.Example ” → “acme.example”. "" where it is none."""
    domain = normalise(f"x@{text.strip().lstrip('@')}")[2:]
    return domain if "." in domain and " " not in domain and "@" not in domain else ""


def domain_of(address: str) -> str:
    """The part after the last @ of a normalised address."""
    return address.rpartition("@")[2]
