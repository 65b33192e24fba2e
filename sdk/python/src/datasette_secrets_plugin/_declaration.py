"""What a plugin says about the secrets it needs, and hears about them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Secret:
    """Declares that a plugin needs a secret.

    name is 1 to 255 of A-Z a-z 0-9 _ . - and by custom in upper case.
    description is one sentence for the administrator; of HTML, a, code, em,
    strong and br are kept. obtain_url is the page on which to get a value, and
    obtain_label the text of the link to it; without a label there is no link.
    """

    name: str
    description: str | None = None
    obtain_url: str | None = None
    obtain_label: str | None = None


@dataclass(frozen=True)
class SecretStatus:
    """Tells whether a declared secret has a value.

    source is "env" or "database", and empty while the secret is not set.
    """

    name: str
    set: bool
    source: str
