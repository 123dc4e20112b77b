import pytest

from app import app, connect


@pytest.fixture
def client():
    with connect() as connection:
        connection.execute("TRUNCATE note RESTART IDENTITY")
    return app.test_client()


def test_health(client):
    assert client.get("/health").json == {"ok": True}


def test_a_note_is_kept(client):
    added = client.post("/notes", json={"text": "buy milk; 'really'"})
    assert added.status_code == 201
    assert client.get("/notes").json == [{"id": 1, "text": "buy milk; 'really'"}]


def test_a_note_needs_a_text(client):
    assert client.post("/notes", json={"text": "  "}).status_code == 400


def test_a_note_is_removed_once(client):
    number = client.post("/notes", json={"text": "x"}).json["id"]
    assert client.delete(f"/notes/{number}").status_code == 204
    assert client.delete(f"/notes/{number}").status_code == 404
