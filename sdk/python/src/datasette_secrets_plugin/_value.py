"""The clear text of a secret."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

_REDACTED = "[redacted]"


class Value:
    """The clear text of a secret, which hides itself.

    Whatever prints, formats or logs a Value gets "[redacted]"; json and pickle
    refuse it. Its method reveal gives the text. Two Values are equal only if
    they are the same object, whatever their texts are.
    """

    # The text is kept in a closure, for tools that print the state of every
    # object they meet would print an attribute.
    __slots__ = ("_reveal", "version")
    _reveal: Callable[[], str]

    #: Which value of the secret this is, counted by the host's database; 0 from elsewhere.
    version: int

    def __init__(self, text: str, version: int = 0) -> None:
        object.__setattr__(self, "_reveal", lambda: text)
        object.__setattr__(self, "version", version)

    def reveal(self) -> str:
        """Return the clear text.

        Every call is a place where a secret can leak: call it where the text
        is used, and do not keep the result.
        """
        return self._reveal()

    def __len__(self) -> int:
        """The number of characters of the clear text."""
        return len(self._reveal())

    def __repr__(self) -> str:
        return _REDACTED

    def __str__(self) -> str:
        return _REDACTED

    def __format__(self, spec: str) -> str:
        return _REDACTED

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Value cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a Value cannot be changed")

    def __copy__(self) -> Value:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Value:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Value cannot be pickled")
