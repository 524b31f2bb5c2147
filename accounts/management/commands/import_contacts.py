from accounts.importing import import_contacts
from accounts.management.commands._importing import ImportCommand


class Command(ImportCommand):
    help = "Imports customers, contacts, their addresses and My Contact flags from a CSV file."
    read = staticmethod(import_contacts)
