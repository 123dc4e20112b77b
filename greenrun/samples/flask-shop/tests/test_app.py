"""What a customer sees."""

from app import app


def test_the_goods_are_listed():
    """The list has the tea."""
    assert app.test_client().get("/goods").json["tea"] == 12


def test_unknown_goods_are_not_found():
    """The shop says so."""
    assert app.test_client().get("/goods/gold").status_code == 404
