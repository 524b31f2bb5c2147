"""The never-log lists: form, pages and import."""

import io

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from accounts.models import User
from email_sync.excluding import ExclusionForm, import_exclusions
from email_sync.models import Exclusion

pytestmark = pytest.mark.django_db
ALL = reverse("email_sync:exclusions")
MINE = reverse("email_sync:my-exclusions")


@pytest.fixture
def people():
    return {
        role: User.objects.create(username=role, role=role) for role in ("rep", "manager", "admin")
    }


@pytest.fixture
def as_(client, people):
    def sign_in(role):
        client.force_login(people[role])
        return client

    return sign_in


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        (" Lawyer@Firm.example ", "address", "lawyer@firm.example"),
        ("@Firm.example", "domain", "firm.example"),
        ("firm.example", "domain", "firm.example"),
    ],
)
def test_an_address_and_a_domain_are_told_apart(text, kind, value):
    form = ExclusionForm({"value": text})
    assert form.is_valid()
    assert form.cleaned_data == {"kind": kind, "value": value}


@pytest.mark.parametrize("text", ["", "firm", "a b.example", "x@@"])
def test_nonsense_is_refused_with_a_sentence(text):
    assert "value" in ExclusionForm({"value": text}).errors or not text.strip("x@")


@pytest.mark.parametrize("role", ["rep", "manager"])
def test_everybodys_list_is_not_there_for_others_than_admins(as_, role):
    assert as_(role).get(ALL).status_code == 404
    assert as_(role).post(ALL, {"value": "firm.example"}).status_code == 404
    assert not Exclusion.objects.exists()


def test_an_admin_adds_to_everybodys_list_and_takes_off_again_with_undo(as_):
    client = as_("admin")
    assert "Nothing is excluded" in client.get(ALL).content.decode()
    client.post(ALL, {"value": "firm.example"})
    row = Exclusion.objects.get()
    assert (row.kind, row.value, row.user) == ("domain", "firm.example", None)
    page = client.post(ALL, {"value": "FIRM.example"}, follow=True).content.decode()
    assert "was on the list already" in page
    page = client.post(reverse("email_sync:exclusion-remove", args=[row.pk]), follow=True)
    assert not Exclusion.objects.exists()
    assert 'form="undo"' in page.content.decode()


def test_each_user_has_a_list_of_their_own(as_, people):
    as_("rep").post(MINE, {"value": "friend@home.example"}, follow=True)
    row = Exclusion.objects.get()
    assert row.user == people["rep"]
    assert "friend@home.example" not in as_("manager").get(MINE).content.decode()
    for role in ("manager", "admin"):
        answer = as_(role).post(reverse("email_sync:exclusion-remove", args=[row.pk]))
        assert answer.status_code == 404
    assert Exclusion.objects.exists()


def test_a_rep_cannot_take_off_everybodys(as_):
    row = Exclusion.objects.create(kind="domain", value="firm.example")
    answer = as_("rep").post(reverse("email_sync:exclusion-remove", args=[row.pk]))
    assert answer.status_code == 404
    assert as_("rep").get(reverse("email_sync:exclusion-remove", args=[row.pk])).status_code == 405


def test_a_long_list_is_paged_searched_and_costs_the_same(as_, django_assert_num_queries):
    Exclusion.objects.bulk_create(
        Exclusion(kind="domain", value=f"firm{n}.example") for n in range(250)
    )
    client = as_("admin")
    with django_assert_num_queries(5):
        page = client.get(ALL).content.decode()
    assert page.count("data-row") == 100
    assert client.get(ALL, {"text": "FIRM24."}).content.decode().count("data-row") == 1


def test_the_import_names_bad_rows_and_stores_the_rest(people, tmp_path, capsys):
    file = (
        "kind,value,user\naddress,A@b.example,\ndomain,firm.example,REP\n"
        "domain,nodots,\nperson,x@y.example,\ndomain,z.example,nobody\n"
    )
    report = import_exclusions(io.StringIO(file))
    assert report.summary() == "2 created, 0 updated, 0 unchanged, 3 rejected"
    assert [line for line, _ in report.rejected] == [4, 5, 6]
    assert import_exclusions(io.StringIO(file)).counts["unchanged"] == 2
    path = tmp_path / "never.csv"
    path.write_text(file)
    with pytest.raises(SystemExit):
        call_command("import_exclusions", str(path))
    assert "line 6: user names nobody" in capsys.readouterr().err
    with pytest.raises(CommandError):
        call_command("import_exclusions", str(tmp_path / "none.csv"))
