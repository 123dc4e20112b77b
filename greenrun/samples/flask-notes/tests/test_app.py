"""What a writer sees."""

from app import app


def test_a_note_is_kept():
    """What was written is read again."""
    client = app.test_client()
    assert client.post("/notes", json={"text": "buy tea"}).status_code == 201
    assert client.get("/notes").json == ["buy tea"]
