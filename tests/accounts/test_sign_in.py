"""From a provider's claims to a person: whatever text they hold, signed in or refused, and never mixed up."""

import pytest

from imodels_app.accounts import sign_in
from imodels_app.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def come(sandbox):
    """come(sub=..., email=...) signs that person in."""
    token = sandbox.tokens_for("mara")
    honest = {"sub": "somebody", "email": "a@b.example", "email_verified": True}
    return lambda **claims: sign_in.sign_in(honest | claims, token)


@pytest.mark.parametrize("length", [150, 200, 255])
def test_people_whose_subjects_begin_alike_are_two(come, length):
    one, other = come(sub="s" * (length - 1) + "1"), come(sub="s" * (length - 1) + "2")

    assert one.pk != other.pk
    assert come(sub="s" * (length - 1) + "1").pk == one.pk


@pytest.mark.parametrize(
    "subject", ["s" * 256, "s" * 300, "a\0b", "\u202eturned", "a\nb", " a", "e\u0301", "\ud83d", "\u200b", ""]
)
def test_a_subject_that_cannot_be_stored_as_it_is_is_refused(come, subject):
    with pytest.raises(sign_in.NoIdentity):
        come(sub=subject)
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "email",
    ["a" * 300 + "@b.example", "a@b.example\nBcc: c@d.example", "a\0@b.example", "nobody", "\ud83d@b.example", 7, []],
)
def test_an_address_that_no_mail_can_be_sent_to_is_not_kept(come, email):
    assert come(email=email).email == ""


@pytest.mark.parametrize(
    ("given", "family", "name"),
    [
        *(("Ma\0ra", "Lindqvist", "Mara Lindqvist"), ("\u202eMara", "\ud83d", "Mara"), ("Zoe\u0308", "", "Zoë")),
        *(
            ("G" * 150, "F" * 150, f"{'G' * 150} {'F' * 104}"),
            ("G" * 151, "", f"{'G' * 149}…"),
            ("\u200b", "\x07", "a@b.example"),
        ),
    ],
)
def test_a_name_is_cleaned(come, given, family, name):
    assert come(given_name=given, family_name=family).name == name
