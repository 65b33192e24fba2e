"""What a plugin says about the secrets it needs, and hears about them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Redact:
    """How many characters of a stored value stay readable, to recognise it by.

    prefix is their number at the beginning, suffix that at the end.
    """

    prefix: int = 0
    suffix: int = 0


@dataclass(frozen=True)
class Secret:
    """Declares that a plugin needs a secret.

    name is 1 to 255 of A-Z a-z 0-9 _ . - and by custom in upper case.
    description is one sentence for the administrator; of HTML, a, code, em,
    strong and br are kept. obtain_url is the page on which to get a value, and
    obtain_label the text of the link to it; without a label there is no link.

    pattern is an expression (RE2) that a whole value must match. example shows
    beside the field what a value looks like; it is no real one. multiline says
    that values have several lines, such as a private key. redact says how much
    of a stored value administrators may see; nothing if it is not given.
    """

    name: str
    description: str | None = None
    obtain_url: str | None = None
    obtain_label: str | None = None
    pattern: str | None = None
    example: str | None = None
    multiline: bool = False
    redact: Redact | None = None


@dataclass(frozen=True)
class SecretStatus:
    """Tells whether a declared secret has a value.

    source is "env" or "database", and empty while the secret is not set.
    """

    name: str
    set: bool
    source: str
