"""The rows of this app, by subject."""

from email_sync.models.coverage import CoverageCheck, FolderCoverage
from email_sync.models.emails import Email, EmailContact, EmailParticipant
from email_sync.models.exclusions import Exclusion
from email_sync.models.folders import FolderCursor
from email_sync.models.intake import IntakeConnection, IntakeReview, IntakeRun, TrustedSender
from email_sync.models.ledger import DailyCount, LedgerAddress, LedgerEntry, Source

__all__ = [
    "CoverageCheck",
    "DailyCount",
    "Email",
    "EmailContact",
    "EmailParticipant",
    "Exclusion",
    "FolderCoverage",
    "FolderCursor",
    "IntakeConnection",
    "IntakeReview",
    "IntakeRun",
    "LedgerAddress",
    "LedgerEntry",
    "Source",
    "TrustedSender",
]
