"""Notes: write one, read them all."""

from flask import Flask, jsonify, request

app = Flask(__name__)
NOTES = []


@app.post("/notes")
def write():
    """Keep the note that was sent."""
    NOTES.append(request.get_json()["text"])
    return jsonify({"count": len(NOTES)}), 201


@app.get("/notes")
def read():
    """All notes in the order in which they were written."""
    return jsonify(NOTES)
