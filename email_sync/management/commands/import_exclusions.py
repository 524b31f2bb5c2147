from accounts.management.commands._importing import ImportCommand
from email_sync.excluding import import_exclusions


class Command(ImportCommand):
    help = "Imports addresses and domains that are never logged from a CSV file."
    read = staticmethod(import_exclusions)
