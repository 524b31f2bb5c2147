"""Whether Gmail vouches for a message's From: its own Authentication-Results, read with care.

Pure functions. Only the first header of that name counts, and only where Gmail wrote it: it puts
its own on top, and one further down was written by the sender (intake sheet, rule 5; RFC 8601).

Parts of what Gmail writes are the sender's words (the envelope sender, the signature's domain). A
header that could be read in two ways because of them counts for nothing.
"""

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from accounts.addresses import normalise_domain

#: The name by which Gmail signs its results.
GMAIL = "mx.google.com"

_MAX_HEADER = 20_000
#: Labels under which registries of countries sell names: nobody owns co.uk.
_REGISTRY_LABELS = frozenset(
    "ac asso co com ed edu go gob gouv gov gv id info ltd me mil ne net nhs nic nom or org plc "
    "police sch web".split()
)
_TOKEN = re.compile(r"[A-Za-z0-9_.@+/-]+")
_METHOD = re.compile(r"([A-Za-z0-9_-]+)(?:/[0-9]+)?=([A-Za-z0-9_-]+)")
_PROPERTY = re.compile(r"([A-Za-z]+\.[A-Za-z0-9_-]+)=(.+)")
_WORD = re.compile(r'(?:"[^"]*"|[^\s"])+')


class Verdict(Struct, frozen=True):
    """Whether From is proved, by what, and what Gmail said, in words for the trace."""

    is_proved: bool
    method: str
    words: str


class Result(Struct, frozen=True):
    """One method of a header: dkim=pass with header.i and header.s among its properties."""

    method: str
    result: str
    properties: dict[str, str]


def verdict(headers: Sequence[str], *, domain: str) -> Verdict:
    """What Gmail found out about a From of this domain.

    `headers` are all Authentication-Results of the message, topmost first. Accepted are dmarc=pass,
    else a DKIM pass aligned with From, else an SPF pass with an aligned envelope sender.
    """
    if not headers:
        return _unproved("Gmail wrote no result")
    results = read(headers[0])
    if results is None:
        return _unproved("the topmost result is not Gmail's, or is ambiguous")
    said = _in_words(results)
    by_method: dict[str, list[Result]] = {}
    for result in results:
        by_method.setdefault(result.method, []).append(result)
    if any(len(by_method.get(method, ())) > 1 for method in ("dmarc", "spf")):
        return _unproved("the result names one check twice")
    dmarc = next(iter(by_method.get("dmarc", ())), None)
    # Gmail names the domain that it looked at; older results do not.
    if dmarc and dmarc.result == "pass" and _bare(_from_domain(dmarc) or domain) == _bare(domain):
        return Verdict(is_proved=True, method="dmarc", words=said)
    # Where the owner of the domain asks for more than a relative's signature, that does not do.
    is_strict = dmarc is not None and dmarc.result == "fail"
    for method in ("dkim", "spf"):
        for result in by_method.get(method, ()):
            other = _ABOUT[method](result)
            if result.result == "pass" and is_aligned(other, domain, is_strict=is_strict):
                return Verdict(is_proved=True, method=method, words=said)
    return _unproved(said)


def _unproved(words: str) -> Verdict:
    return Verdict(is_proved=False, method="", words=words)


def is_aligned(domain: str, from_domain: str, *, is_strict: bool = False) -> bool:
    """Whether the owner of one domain may speak for the other.

    Equal, or one below the other. Without the list of public suffixes two sisters (a.x.example,
    b.x.example) are not aligned, and nothing is below a name such as co.uk: what is refused
    wrongly waits for a person, what is accepted wrongly does not.
    """
    domain, from_domain = (_bare(name) for name in (domain, from_domain))
    if not domain or not from_domain:
        return False
    if domain == from_domain:
        return True
    if is_strict or _is_registry(domain) or _is_registry(from_domain):
        return False
    return domain.endswith(f".{from_domain}") or from_domain.endswith(f".{domain}")


def _bare(domain: str) -> str:
    return normalise_domain(domain.rstrip("."))


def _is_registry(domain: str) -> bool:
    labels = domain.split(".")
    if len(labels) < 2:
        return True
    return len(labels) == 2 and len(labels[1]) == 2 and labels[0] in _REGISTRY_LABELS


def _from_domain(dmarc: Result) -> str:
    return dmarc.properties.get("header.from", "")


def _signer(dkim: Result) -> str:
    named = dkim.properties.get("header.d") or dkim.properties.get("header.i", "")
    return named.rpartition("@")[2]


def _envelope_domain(spf: Result) -> str:
    return spf.properties.get("smtp.mailfrom", "").rpartition("@")[2]


#: Whose domain each check is about.
_ABOUT = {"dmarc": _from_domain, "dkim": _signer, "spf": _envelope_domain}


# --- reading the header ---------------------------------------------------------------------------
def read(header: str) -> list[Result] | None:
    """The results of one header; None where it is not Gmail's or can be read in two ways."""
    text = _without_comments(header[:_MAX_HEADER])
    if text is None:
        return None
    clauses = list(_clauses(text))
    server = _TOKEN.match(clauses[0].strip()) if clauses else None
    if server is None or server.group().rstrip(".").lower() != GMAIL:
        return None
    found = []
    for clause in clauses[1:]:
        first, *rest = _words(clause) or [""]
        if match := _METHOD.fullmatch(first):
            named = filter(None, map(_PROPERTY.fullmatch, rest))
            properties = {m.group(1).lower(): m.group(2).replace('"', "") for m in named}
            found.append(Result(match.group(1).lower(), match.group(2).lower(), properties))
    return found


def _words(clause: str) -> list[str]:
    """The words of a clause; what stands in quotes is never taken apart, “a = b” is one word."""
    words: list[str] = []
    for word in _WORD.findall(clause):
        if words and _belong_together(words[-1], word):
            words[-1] += word
        else:
            words.append(word)
    return words


def _belong_together(before: str, word: str) -> bool:
    if before.endswith("=") or word.startswith("="):
        return True
    is_name = "=" not in before
    return is_name and (before.endswith((".", "/")) or word.startswith((".", "/")))


def _without_comments(text: str) -> str | None:
    """The header without its comments, which nest; None where one is not closed, or where a quote
    stands in one: that is an envelope sender chosen so that the comment seems to end in it."""
    kept: list[str] = []
    depth = 0
    is_quoted = False
    position = 0
    while position < len(text):
        char = text[position]
        if char == "\\":
            return None  # Gmail escapes nothing
        if char == '"':
            if depth:
                return None
            is_quoted = not is_quoted
        if not is_quoted:
            if char == "(":
                depth += 1
            elif char == ")":
                if not depth:
                    return None
                depth -= 1
                position += 1
                kept.append(" ")
                continue
        if not depth:
            kept.append(char)
        position += 1
    return None if depth or is_quoted else "".join(kept)


def _clauses(text: str) -> Iterator[str]:
    """The text between semicolons that do not stand in quotes."""
    clause: list[str] = []
    is_quoted = False
    for char in text:
        if char == '"':
            is_quoted = not is_quoted
        if char == ";" and not is_quoted:
            yield "".join(clause)
            clause = []
        else:
            clause.append(char)
    yield "".join(clause)


def _in_words(results: Sequence[Result]) -> str:
    """As in “dmarc=fail, dkim=pass (other.example), spf=none”."""
    words = []
    for result in results:
        if result.method in _ABOUT:
            named = _bare(_ABOUT[result.method](result))
            words.append(f"{result.method}={result.result}" + (f" ({named})" if named else ""))
    return ", ".join(words[:10]) or "no result of DMARC, DKIM or SPF"
