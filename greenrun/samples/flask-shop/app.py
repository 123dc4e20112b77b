"""A small shop: list the goods, show one, count what is in stock."""

from flask import Flask, abort, jsonify

app = Flask(__name__)
GOODS = {"tea": 12, "coffee": 7, "cocoa": 0}


@app.get("/goods")
def goods():
    """All goods and how many of each are in stock."""
    return jsonify(GOODS)


@app.get("/goods/<name>")
def one(name):
    """One of the goods; 404 where the shop does not have it."""
    if name not in GOODS:
        abort(404)
    return jsonify({"name": name, "stock": GOODS[name]})
