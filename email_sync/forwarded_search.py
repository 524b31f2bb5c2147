"""Finding where the original begins among the lines of a forward, and where it ends.

The topmost thing that looks like the beginning of an original wins: a block of labelled lines
(“From: … Sent: … Subject: …”), the header that a program's markup names, or an attribution (“On …
Ana wrote:”). What is quoted below it belongs to the original.
"""

from collections.abc import Sequence
from typing import Literal

from msgspec.structs import replace

from accounts.addresses import normalise
from email_sync import address_lists, forwarded_dates
from email_sync.forwarded_attributions import Attribution, attribution_at, may_be_attribution
from email_sync.forwarded_blocks import Block, guess, read, read_one_line, sender_of
from email_sync.forwarded_labels import Separator, label_of, separator_of
from email_sync.forwarded_lines import HEADERS, Line, is_rule, next_written

#: Lines that look like a beginning and turn out to be none, after which no more are tried.
_MAX_ATTEMPTS = 500


def find(
    lines: Sequence[Line], *, is_expected: bool, mailbox: str, rep: str
) -> Block | Attribution | None:
    """The beginning of the original; None where there is none.

    `is_expected` says that the subject announces a forward, so that less will do. The forward was
    sent by `rep` to `mailbox` (both normalised, "" for unknown): damage may have put its own header
    among the lines.
    """
    attempts = 0
    has_remains = False
    for index, line in enumerate(lines):
        if line.is_blank or not _may_begin(line):
            continue
        found = (
            _announced(lines, index)
            or _labelled(lines, index, is_expected=is_expected)
            or _in_markup(lines, index)
            or attribution_at(lines, index)
        )
        attempts += 1
        if isinstance(found, Block) and not _is_own(found, mailbox=mailbox, rep=rep):
            return replace(found, is_below_another=has_remains)
        if isinstance(found, Attribution):
            return found
        has_remains = has_remains or _are_remains(lines, index)
        if attempts > _MAX_ATTEMPTS:
            break
    return None


def _are_remains(lines: Sequence[Line], index: int) -> bool:
    """Whether a header stands here that has lost its sender."""
    block = read(lines, index)
    if block is None or "from" in block.labels:
        return False
    return "@" in block.values.get("to", "") + block.values.get("cc", "")


def _is_own(found: Block, *, mailbox: str, rep: str) -> bool:
    """Whether this is the header of the forward itself: from the rep to the mailbox alone."""
    to = {normalise(one.address) for one in address_lists.parse(found.values.get("to", ""))}
    return to == {mailbox} and rep in {"", normalise(sender_of(found.values))}


def _may_begin(line: Line) -> bool:
    """A quick look that passes over nearly all lines of ordinary text."""
    return (
        line.structure in HEADERS
        or separator_of(line.text) is not None
        or label_of(line.linked) is not None
        or may_be_attribution(line)
    )


def _labelled(lines: Sequence[Line], index: int, *, is_expected: bool) -> Block | None:
    """The header without anything that announces it."""
    if label_of(lines[index].linked) is None:
        return None
    block = read(lines, index)
    return block if block and _is_credible(block, is_expected=is_expected) else None


def end_of_body(lines: Sequence[Line], start: Block | Attribution) -> int:
    """The line after the original's body: some programs close it, or quote it as a whole."""
    if start.separator in {"forward", "original"}:
        for index in range(len(lines) - 1, start.after - 1, -1):
            if lines[index].depth <= start.depth and _separator_kind(lines[index]) == "end":
                return index
    if not start.depth:
        return len(lines)
    quoted = (i for i in range(len(lines) - 1, start.after - 1, -1) if lines[i].depth)
    last = next(quoted, len(lines) - 1)
    # What stands below a quotation and apart from it is the forwarder's; a line in its middle that
    # lost its mark is not.
    is_apart = last + 1 < len(lines) and (lines[last].is_blank or lines[last + 1].is_blank)
    return last + 1 if is_apart else len(lines)


# --- announced by a separator or by markup --------------------------------------------------------


def _announced(lines: Sequence[Line], index: int) -> Block | Attribution | None:
    """The header below (or behind) a separator line."""
    separator = separator_of(lines[index].text)
    if separator is None or separator[0] == "end":
        return None
    kind, rest = separator
    if rest and (block := read_one_line(rest, lines, index)):  # Yahoo writes all in one line
        return replace(block, separator=kind)
    start = next_written(lines, index + 1)
    if start is None:
        return None
    block = read(lines, start) or read(lines, start, is_colon_needed=False)
    if block and _is_credible(block, separator=kind):
        return replace(_without_closing_line(lines, block), first=index, separator=kind)
    if lines[start].structure in HEADERS and (block := guess(lines, start)):
        return replace(block, first=index, separator=kind)
    if kind in {"rule", "unknown"}:
        return None
    if block := guess(lines, start):
        return replace(_without_closing_line(lines, block), first=index, separator=kind)
    if attribution := attribution_at(lines, start):
        return replace(attribution, first=index, separator=kind)
    if kind == "forward":  # an unreadable one; what is below it must not be taken for it
        depth = lines[start].depth
        return Block(values={}, first=index, after=index + 1, depth=depth, separator=kind)
    return None


def _in_markup(lines: Sequence[Line], index: int) -> Block | None:
    """The header at the beginning of an element that holds nothing else."""
    structure = lines[index].structure
    if structure not in HEADERS or (index and lines[index - 1].structure == structure):
        return None
    start = index + 1 if separator_of(lines[index].text) else index
    return guess(lines, start) if start < len(lines) else None


def _separator_kind(line: Line) -> Separator | None:
    separator = separator_of(line.text)
    return separator[0] if separator else None


def _without_closing_line(lines: Sequence[Line], block: Block) -> Block:
    """Zoho closes the header with the line that opened it, others with a rule."""
    index = next_written(lines, block.after)
    if index is None:
        return block
    if not is_rule(lines[index]) and _separator_kind(lines[index]) != "forward":
        return block
    below = next_written(lines, index + 1)
    if below is not None and label_of(lines[below].linked):
        return block  # the body is a forward itself
    return replace(block, after=index + 1)


# --- is it a header? ------------------------------------------------------------------------------


def _is_credible(
    block: Block, *, separator: Separator | Literal[""] = "", is_expected: bool = False
) -> bool:
    """Whether labelled lines are a header, and not a form or a timetable somebody wrote."""
    if separator in {"forward", "original"}:
        return len(block.labels) >= (2 if "from" in block.labels else 3)
    if sender_of(block.values):
        return len(block.labels) >= (2 if is_expected else 3)
    # Exchange names colleagues without their addresses, but never leaves out the time.
    return block.labels >= {"from", "date", "to", "subject"} and forwarded_dates.has_clock(
        block.values["date"]
    )
