"""Reads configuration as Datasette does and prints it as JSON with tags that
keep the types apart; what cannot be read is "error".

Argument: a JSON file with "documents", a list of texts for -c, and "settings",
a list of lists of pairs for -s.
"""

import datetime
import json
import struct
import sys

import click
from datasette.cli import Setting
from datasette.utils import pairs_to_nested_config, parse_metadata


def tag(v):
    if v is None or isinstance(v, (bool, str)):
        return v
    if isinstance(v, int):
        return {"int": str(v)}
    if isinstance(v, float):
        return {"float": "nan" if v != v else struct.pack(">d", v).hex()}
    if isinstance(v, datetime.datetime):
        zone = v.tzinfo or datetime.timezone.utc
        return {"time": v.replace(tzinfo=zone).astimezone(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")}
    if isinstance(v, datetime.date):
        return {"time": v.strftime("%Y-%m-%d 00:00:00.000000")}
    if isinstance(v, list):
        return [tag(item) for item in v]
    if isinstance(v, dict):
        return {"map": {key(k): tag(item) for k, item in v.items()}}
    raise TypeError(type(v))


def key(k):
    "The text that a key has in JSON, or str() of a date."
    if isinstance(k, (str, datetime.date)):
        return str(k)
    return json.dumps(k)


def document(text):
    try:
        return tag(parse_metadata(text))
    except Exception:
        return "error"


def settings(pairs):
    try:
        return tag(pairs_to_nested_config([Setting().convert(tuple(pair), None, None) for pair in pairs]))
    except click.BadParameter:
        return "error"


with open(sys.argv[1]) as file:
    question = json.load(file)
print(
    json.dumps(
        {
            "documents": [document(text) for text in question["documents"]],
            "settings": [settings(pairs) for pairs in question["settings"]],
        }
    )
)
