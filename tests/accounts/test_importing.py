"""CSV imports: every good row is stored, every bad one is named, a repeat changes nothing."""

import io

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from accounts.importing import (
    CONTACT_COLUMNS,
    BadFile,
    Report,
    import_contacts,
    import_users,
    rows_of,
)
from accounts.models import Contact, ContactAddress, Customer, MyContact, User

pytestmark = pytest.mark.django_db
HEADER = ",".join(CONTACT_COLUMNS)


@pytest.fixture
def mia():
    return User.objects.create(username="mia")


def load(*rows):
    return import_contacts(io.StringIO("\n".join((HEADER, *rows)) + "\n"))


ANA = "1001,Lumen,Ana,Sato, ANA@Lumen.example ,030 1,mia"


def test_a_row_makes_customer_contact_address_and_flag(mia):
    report = load(ANA)
    assert report.summary() == "1 created, 0 updated, 0 unchanged, 0 rejected"
    contact = Contact.objects.get()
    assert (contact.customer.name, contact.name, contact.phone) == ("Lumen", "Ana Sato", "030 1")
    assert ContactAddress.objects.get().address == "ana@lumen.example"
    assert MyContact.objects.get().user == mia


def test_the_same_again_changes_nothing(mia):
    load(ANA)
    assert load(ANA).summary() == "0 created, 0 updated, 1 unchanged, 0 rejected"


def test_another_address_phone_name_or_flag_updates_and_nothing_is_taken_away(mia):
    User.objects.create(username="sam")
    load(ANA)
    report = load(
        "1001,Lumen,Ana,Sato,ana@mobile.example,,",
        "1001,Lumen,Ana,Sato,ana@lumen.example,030 2,",
        "1001,Lumen Ltd,Ana,Sato,ana@lumen.example,,",
        "1001,,Ana,Sato,ana@lumen.example,,SAM",
    )
    assert report.summary() == "0 created, 4 updated, 0 unchanged, 0 rejected"
    assert Customer.objects.get().name == "Lumen Ltd"
    assert Contact.objects.get().phone == "030 2"
    assert ContactAddress.objects.count() == MyContact.objects.count() == 2


def test_bad_rows_are_named_by_line_and_nothing_else_is_lost(mia):
    report = load(
        "1001,Lumen,Ana,Sato,not an address,,",
        ANA,
        ",Lumen,Ana,Sato,ana@lumen.example,,",
        "1002,,Kim,Lee,kim@harbor.example,,",
        "1001,Lumen,Ana,Sato,ana@lumen.example,,nobody",
        "1001,Lumen",
        "",
        "1001,Lumen,,,,,",
        '1003,"Two\nlines",Bo,Ek,bo@two.example,,',
        "1004,Last,Ed,Fox,broken@@,,",
    )
    assert sorted(line for line, _ in report.rejected) == [2, 4, 5, 6, 7, 9, 12]
    assert Customer.objects.count() == 2
    assert ContactAddress.objects.count() == 2


def test_a_row_without_a_name_is_known_by_its_address(mia):
    load("1001,Lumen,,,info@lumen.example,,")
    assert load("1001,Lumen,,,info@lumen.example,,mia").counts["updated"] == 1
    assert load("1001,Lumen,,,sales@lumen.example,,").counts["created"] == 1


def test_a_header_that_lacks_a_column_is_refused_and_its_order_does_not_matter(mia):
    with pytest.raises(BadFile, match="my_contact_of"):
        import_contacts(
            io.StringIO("customer_number,customer_name,first_name,last_name,email,phone\n")
        )
    report = import_contacts(
        io.StringIO(
            "\ufeffEmail,customer_number,customer_name,last_name,first_name,phone,my_contact_of,extra\n"
            "ana@lumen.example,1001,Lumen,Sato,Ana,,mia,x\n"
        )
    )
    assert report.counts["created"] == 1


def test_the_command_prints_the_report_and_exits_with_1_for_bad_rows(mia, tmp_path, capsys):
    path = tmp_path / "contacts.csv"
    path.write_text(f"{HEADER}\n{ANA}\n,,,,,,\n1001,Lumen,Ana,Sato,bad,,\n", encoding="utf-8-sig")
    with pytest.raises(SystemExit) as exit_:
        call_command("import_contacts", str(path))
    assert exit_.value.code == 1
    output = capsys.readouterr()
    assert "1 created, 0 updated, 0 unchanged, 2 rejected" in output.out
    assert "line 4: “bad” is not an email address." in output.err


def test_a_file_that_is_not_there_or_not_text_is_a_sentence(tmp_path):
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("import_contacts", str(tmp_path / "none.csv"))
    latin = tmp_path / "latin.csv"
    latin.write_bytes(f"{HEADER}\n1,Müller,A,B,a@b.example,,\n".encode("latin-1"))
    with pytest.raises(CommandError, match="UTF-8"):
        call_command("import_contacts", str(latin))


def test_a_thousand_known_rows_cost_a_fixed_number_of_queries(mia):
    rows = [f"{n},C{n},F{n},L{n},f{n}@c{n}.example,,mia" for n in range(200)]
    load(*rows)
    with CaptureQueriesContext(connection) as few:
        load(*rows[:10])
    with CaptureQueriesContext(connection) as many:
        load(*rows)
    reads = [q for q in many.captured_queries if "SAVEPOINT" not in q["sql"]]
    assert len(reads) == len([q for q in few.captured_queries if "SAVEPOINT" not in q["sql"]])


@given(st.lists(st.text()))
def test_any_text_gives_rows_a_report_or_a_sentence(lines):
    report = Report()
    try:
        list(rows_of(io.StringIO("\n".join((HEADER, *lines))), CONTACT_COLUMNS, report))
    except BadFile:
        pass


def test_users_get_role_manager_zone_and_aliases_wherever_the_manager_stands():
    file = (
        "username,email,first_name,last_name,role,manager,time_zone,aliases\n"
        "mia,mia@northsound.example,Mia,Berg,rep,lena,Europe/Berlin,M.Berg@northsound.example;x@y.example\n"
        "lena,lena@northsound.example,Lena,Hof,manager,,,\n"
    )
    assert import_users(io.StringIO(file)).summary().startswith("2 created")
    mia = User.objects.get(username="mia")
    assert mia.manager.username == "lena"
    assert set(mia.aliases.values_list("address", flat=True)) == {
        "m.berg@northsound.example",
        "x@y.example",
    }
    assert not mia.has_usable_password()
    assert import_users(io.StringIO(file)).summary() == (
        "0 created, 0 updated, 2 unchanged, 0 rejected"
    )


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ("bo,bo@x.example,B,O,boss,,,", "boss"),
        ("bo,bo@x.example,B,O,rep,,Mars/Base,", "time zone"),
        ("bo,nonsense,B,O,rep,,,", "not an email"),
        ("bo,bo@x.example,B,O,rep,bo,,", "own manager"),
        ("bo,bo@x.example,B,O,rep,nobody,,", "does not exist"),
        (",bo@x.example,B,O,rep,,,", "username is empty"),
    ],
)
def test_bad_users_are_rejected_with_the_cause(row, word):
    file = f"username,email,first_name,last_name,role,manager,time_zone,aliases\n{row}\n"
    [(line, cause)] = import_users(io.StringIO(file)).rejected
    assert line == 2
    assert word in cause
