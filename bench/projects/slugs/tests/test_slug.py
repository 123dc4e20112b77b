import pytest

from slugs import slug


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Hello, World!", "hello-world"),
        ("Größe & Straße", "grosse-strasse"),
        ("  ", ""),
        ("Москва 2024", "moskva-2024"),
    ],
)
def test_a_title_can_be_read_in_an_address(title, expected):
    assert slug(title) == expected


def test_it_ends_with_a_whole_word():
    assert slug("one two three", longest=8) == "one-two"
