"""Notes over HTTP, kept in PostgreSQL."""

import os

import psycopg
from flask import Flask, jsonify, request

app = Flask(__name__)


def connect():
    """A connection to the database that DATABASE_URL names; the table is there."""
    connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    connection.execute("CREATE TABLE IF NOT EXISTS note (id SERIAL PRIMARY KEY, text TEXT NOT NULL)")
    return connection


@app.get("/health")
def health():
    """Whether the database answers."""
    with connect() as connection:
        connection.execute("SELECT 1")
    return jsonify(ok=True)


@app.get("/notes")
def notes():
    """All notes, the oldest first."""
    with connect() as connection:
        rows = connection.execute("SELECT id, text FROM note ORDER BY id").fetchall()
    return jsonify([{"id": number, "text": text} for number, text in rows])


@app.post("/notes")
def add():
    """A new note; 400 without a text."""
    text = (request.get_json(silent=True) or {}).get("text", "").strip()
    if not text:
        return jsonify(error="a note has a text"), 400
    with connect() as connection:
        number = connection.execute("INSERT INTO note (text) VALUES (%s) RETURNING id", (text,)).fetchone()[0]
    return jsonify(id=number, text=text), 201


@app.delete("/notes/<int:number>")
def remove(number):
    """The note is gone; 404 where there is none."""
    with connect() as connection:
        gone = connection.execute("DELETE FROM note WHERE id = %s", (number,)).rowcount
    return ("", 204) if gone else (jsonify(error="no such note"), 404)
