"""What this package knows of the API is what the API's document says."""

import json
from pathlib import Path

from datasette_secrets import SecretsError, _errors
from datasette_secrets._http import API

document = json.loads((Path(__file__).parents[3] / "internal" / "api" / "openapi.json").read_text())

# What a request of this package never is; an answer with one of these is a plain SecretsError.
NEVER = {
    "invalid_request", "not_found", "method_not_allowed", "precondition_failed", "precondition_required",
    "read_only", "too_large", "unsupported_media_type",
}  # fmt: skip


def test_codes():
    codes = set(document["components"]["schemas"]["Code"]["enum"])
    assert set(_errors._classes) == codes - NEVER and NEVER < codes
    for code in codes:
        assert isinstance(_errors.error_of(code, "text", 400), SecretsError)


def test_paths():
    assert document["servers"] == [{"url": API}]
    assert {"/secrets", "/secrets/{name}", "/declarations"} <= set(document["paths"])
    assert {"put", "post"} <= set(document["paths"]["/declarations"])
    longest = document["components"]["schemas"]["Declaration"]["properties"]
    from datasette_secrets import _remote

    assert _remote._longest == {name: longest[name]["maxLength"] for name in _remote._longest}
    assert _remote._most == document["components"]["schemas"]["Declarations"]["properties"]["declarations"]["maxItems"]
