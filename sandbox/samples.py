"""The CSV files that make a product know this world's people."""

from __future__ import annotations

import csv
from pathlib import Path

from sandbox.world import World

USER_COLUMNS = "username,email,first_name,last_name,role,manager,time_zone,aliases".split(",")
CONTACT_COLUMNS = (
    "customer_number,customer_name,first_name,last_name,email,phone,my_contact_of".split(",")
)


def user_rows(world: World) -> list[list[str]]:
    return [
        [
            person.username,
            person.email,
            person.first,
            person.last,
            person.role,
            person.manager,
            person.time_zone,
            ";".join(person.aliases),
        ]
        for person in world.staff()
    ]


def contact_rows(world: World) -> list[list[str]]:
    """One row per address; a second address repeats customer and name."""
    flags = world.contact_flags()
    rows = []
    for company in world.customers:
        for contact in company.contacts:
            flagged = ";".join(flags.get(contact.index, []))
            for address in contact.addresses:
                rows.append(
                    [
                        company.number,
                        company.name,
                        contact.first,
                        contact.last,
                        address,
                        contact.phone,
                        flagged,
                    ]
                )
    return rows


def write_samples(world: World, directory: str) -> list[Path]:
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, columns, rows in (
        ("users.csv", USER_COLUMNS, user_rows(world)),
        ("contacts.csv", CONTACT_COLUMNS, contact_rows(world)),
    ):
        path = folder / name
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(rows)
        paths.append(path)
    return paths
