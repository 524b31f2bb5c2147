"""Reading users and contacts from CSV files: every good row is stored, every bad one is named."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TextIO

from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.addresses import MAX_ADDRESS_LENGTH, domain_of, normalise
from accounts.models import Contact, ContactAddress, Customer, MyContact, User, UserAlias

CONTACT_COLUMNS = (
    "customer_number customer_name first_name last_name email phone my_contact_of".split()
)
USER_COLUMNS = "username email first_name last_name role manager time_zone aliases".split()
#: What the columns of the database hold.
_LONGEST = {
    "customer_number": 40,
    "customer_name": 200,
    "first_name": 100,
    "last_name": 100,
    "phone": 60,
}
#: Rows that are looked up and stored together.
CHUNK = 1_000


class BadFile(Exception):
    """The file as a whole cannot be read; the message says why."""


class BadRow(Exception):
    """One row cannot be stored; the message says why."""


@dataclass
class Report:
    """How many rows were created, updated, unchanged or rejected; the rejected by line."""

    counts: Counter[str] = field(default_factory=Counter)
    rejected: list[tuple[int, str]] = field(default_factory=list)

    def reject(self, line: int, cause: str) -> None:
        self.counts["rejected"] += 1
        self.rejected.append((line, cause))

    def summary(self) -> str:
        words = ("created", "updated", "unchanged", "rejected")
        return ", ".join(f"{self.counts[word]} {word}" for word in words)


Row = tuple[int, dict[str, str]]


def rows_of(file: TextIO, columns: list[str], report: Report) -> Iterator[Row]:
    """The rows of a CSV file with their line numbers, trimmed; malformed ones go to the report.

    Raises BadFile where the header lacks a column or the text is not UTF-8.
    """
    reader = csv.reader(file)
    try:
        header = [name.strip().lstrip("\ufeff").lower() for name in next(reader, [])]
        if missing := [name for name in columns if name not in header]:
            raise BadFile(f"The first line must name the columns; missing: {', '.join(missing)}.")
        line = reader.line_num + 1
        for cells in reader:
            if len(cells) == len(header):
                values = {
                    n: c.strip().replace("\0", "") for n, c in zip(header, cells, strict=True)
                }
                yield line, values
            elif any(cell.strip() for cell in cells):
                report.reject(line, f"It has {len(cells)} columns instead of {len(header)}.")
            line = reader.line_num + 1
    except UnicodeDecodeError:
        raise BadFile("The file is not UTF-8 text. Save it as “CSV UTF-8”.") from None
    except csv.Error as error:
        raise BadFile(f"Line {reader.line_num} is not CSV: {error}.") from None


def import_contacts(file: TextIO) -> Report:
    """Create and update customers, contacts, addresses and My Contact flags; nothing is removed.

    A contact is known by customer and name: the same name with another address adds the address.
    """
    report = Report()
    users = {user.username.casefold(): user for user in User.objects.all()}
    rows = rows_of(file, CONTACT_COLUMNS, report)
    while chunk := list(islice(rows, CHUNK)):
        with transaction.atomic():
            _ContactChunk(users, report).store(chunk)
    return report


class _ContactChunk:
    """Some rows at a time, so that a file of a million costs a few queries for each thousand."""

    def __init__(self, users: dict[str, User], report: Report) -> None:
        self.users = users
        self.report = report
        self.customers: dict[str, Customer] = {}
        self.contacts: dict[tuple[int, str, str], Contact] = {}
        self.addresses: set[tuple[int, str]] = set()
        self.flags: set[tuple[int, int]] = set()

    def store(self, rows: list[Row]) -> None:
        good = list(self._checked(rows))
        self._load(good)
        for line, row in good:
            try:
                with transaction.atomic():
                    self.report.counts[self._store_row(row)] += 1
            except BadRow as cause:
                self.report.reject(line, str(cause))

    def _checked(self, rows: list[Row]) -> Iterator[Row]:
        for line, row in rows:
            try:
                self._check(row)
            except BadRow as cause:
                self.report.reject(line, str(cause))
            else:
                yield line, row

    def _check(self, row: dict[str, str]) -> None:
        if not row["customer_number"]:
            raise BadRow("customer_number is empty.")
        if not row["email"] and not (row["first_name"] or row["last_name"]):
            raise BadRow("There is neither a name nor an email.")
        if row["email"]:
            row["email"] = _checked_address(row["email"])
        if unknown := [n for n in _names(row["my_contact_of"]) if n.casefold() not in self.users]:
            raise BadRow(f"my_contact_of names users that do not exist: {', '.join(unknown)}.")
        for column, limit in _LONGEST.items():
            if len(row[column]) > limit:
                raise BadRow(f"{column} is longer than {limit} characters.")

    def _load(self, rows: list[Row]) -> None:
        """Everything that the rows may meet, in a fixed number of queries."""
        numbers = {row["customer_number"] for _, row in rows}
        self.customers = {c.number: c for c in Customer.objects.filter(number__in=numbers)}
        names = {row["last_name"] for _, row in rows}
        contacts = list(Contact.objects.filter(customer__number__in=numbers, last_name__in=names))
        self.contacts = {(c.customer_id, c.first_name, c.last_name): c for c in contacts}
        of_these = ContactAddress.objects.filter(contact__in=contacts)
        self.addresses = set(of_these.values_list("contact_id", "address"))
        flags = MyContact.objects.filter(contact__in=contacts)
        self.flags = set(flags.values_list("contact_id", "user_id"))

    def _store_row(self, row: dict[str, str]) -> str:
        changed = set()
        customer, what = self._customer(row)
        changed.add(what)
        contact, what = self._contact(customer, row)
        is_new = what == "created"
        changed.add(what)
        if row["email"] and (contact.pk, row["email"]) not in self.addresses:
            ContactAddress.objects.create(
                contact=contact, address=row["email"], domain=domain_of(row["email"])
            )
            self.addresses.add((contact.pk, row["email"]))
            changed.add("updated")
        for name in _names(row["my_contact_of"]):
            user = self.users[name.casefold()]
            if (contact.pk, user.pk) not in self.flags:
                MyContact.objects.create(user=user, contact=contact)
                self.flags.add((contact.pk, user.pk))
                changed.add("updated")
        if is_new:
            return "created"
        return "updated" if changed - {"unchanged"} else "unchanged"

    def _customer(self, row: dict[str, str]) -> tuple[Customer, str]:
        number, name = row["customer_number"], row["customer_name"]
        customer = self.customers.get(number)
        if customer is None:
            if not name:
                raise BadRow(f"Customer {number} is new and has no customer_name.")
            customer = self.customers[number] = Customer.objects.create(number=number, name=name)
            return customer, "created"
        if name and name != customer.name:
            customer.name = name
            customer.save(update_fields=["name"])
            return customer, "updated"
        return customer, "unchanged"

    def _contact(self, customer: Customer, row: dict[str, str]) -> tuple[Contact, str]:
        first, last = row["first_name"], row["last_name"]
        contact = self._known(customer, row)
        if contact is None:
            contact = Contact.objects.create(
                customer=customer, first_name=first, last_name=last, phone=row["phone"]
            )
            if first or last:
                self.contacts[(customer.pk, first, last)] = contact
            return contact, "created"
        if row["phone"] and row["phone"] != contact.phone:
            contact.phone = row["phone"]
            contact.save(update_fields=["phone"])
            return contact, "updated"
        return contact, "unchanged"

    def _known(self, customer: Customer, row: dict[str, str]) -> Contact | None:
        """The contact a row means: by name, or by address where the row has no name."""
        first, last = row["first_name"], row["last_name"]
        if first or last:
            return self.contacts.get((customer.pk, first, last))
        of_customer = Contact.objects.filter(customer=customer, addresses__address=row["email"])
        contact = of_customer.first()
        if contact is not None:
            self.addresses.add((contact.pk, row["email"]))
            self.flags.update(contact.flags.values_list("contact_id", "user_id"))
        return contact


def import_users(file: TextIO) -> Report:
    """Create and update users; a manager may stand further down in the file."""
    report = Report()
    rows = []
    for line, row in rows_of(file, USER_COLUMNS, report):
        try:
            with transaction.atomic():
                rows.append((line, row, *_store_user(row)))
        except BadRow as cause:
            report.reject(line, str(cause))
    for line, row, user, what in rows:
        try:
            is_moved = _set_manager(user, row["manager"])
        except BadRow as cause:
            report.reject(line, str(cause))
        else:
            report.counts["updated" if what == "unchanged" and is_moved else what] += 1
    return report


def _store_user(row: dict[str, str]) -> tuple[User, str]:
    if not row["username"]:
        raise BadRow("username is empty.")
    user = User.objects.filter(username=row["username"]).first()
    is_new = user is None
    user = user or User(username=row["username"])
    if is_new:
        user.set_unusable_password()
    before = {name: getattr(user, name) for name in (*USER_COLUMNS[1:5], "time_zone")}
    user.email = _checked_address(row["email"]) if row["email"] else user.email
    user.first_name = row["first_name"] or user.first_name
    user.last_name = row["last_name"] or user.last_name
    user.role = row["role"].lower() or user.role
    user.time_zone = row["time_zone"] or user.time_zone
    try:
        user.full_clean(exclude=["password"])
    except ValidationError as error:
        raise BadRow(" ".join(error.messages)) from None
    is_changed = before != {name: getattr(user, name) for name in before}
    if is_new or is_changed:
        user.save()
    has_new_alias = _add_aliases(user, _names(row["aliases"]))
    if is_new:
        return user, "created"
    return user, "updated" if is_changed or has_new_alias else "unchanged"


def _add_aliases(user: User, aliases: Iterable[str]) -> bool:
    is_changed = False
    for alias in map(_checked_address, aliases):
        row, is_new = UserAlias.objects.get_or_create(address=alias, defaults={"user": user})
        if row.user_id != user.pk:
            raise BadRow(f"The alias {alias} belongs to another user.")
        is_changed |= is_new
    return is_changed


def _set_manager(user: User, username: str) -> bool:
    if not username:
        return False
    manager = User.objects.filter(username=username).first()
    if manager is None:
        raise BadRow(f"manager names a user that does not exist: {username}.")
    if manager.pk == user.pk:
        raise BadRow("Nobody can be their own manager.")
    if user.manager_id == manager.pk:
        return False
    user.manager = manager
    user.save(update_fields=["manager"])
    return True


def _checked_address(text: str) -> str:
    address = normalise(text)
    local, _, domain = address.rpartition("@")
    if not local or not domain or " " in address or len(address) > MAX_ADDRESS_LENGTH:
        raise BadRow(f"“{text[:80]}” is not an email address.")
    return address


def _names(text: str) -> list[str]:
    return [name for name in (part.strip() for part in text.split(";")) if name]
