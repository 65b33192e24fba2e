"""Many secrets at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ._errors import SecretsError
from ._value import Value


class Secrets(Mapping[str, Value]):
    """The Values that the host gave, by name, and why it did not give the others.

    Asking for one of the others raises its error, as get_secret would::

        found = host.get_secrets(["USER", "PASSWORD"])
        login(found["USER"], found["PASSWORD"])

    errors has them by name. Iterating goes over what was found.
    """

    def __init__(self, values: Mapping[str, Value], errors: Mapping[str, SecretsError]) -> None:
        self._values = dict(values)
        self.errors = dict(errors)

    def __getitem__(self, name: str) -> Value:
        if name in self.errors:
            raise self.errors[name]
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Secrets({self._values!r}, {self.errors!r})"
