"""What can go wrong between this process and a host. No text here ever holds a value or a token."""

from __future__ import annotations


class SecretsError(Exception):
    """Reading a secret failed. code is the host's word for the reason, empty if it gave none."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class SecretNotFound(SecretsError, KeyError):
    """The secret has no value, or is none of this client's."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show it in quotes


class SecretDenied(SecretsError):
    """An administrator has not approved the secret for this client or actor, or has refused it."""


class HostUnavailable(SecretsError):
    """The host cannot be reached, or cannot answer for now."""


class TokenRefused(SecretsError):
    """The host does not know the client token, or not any more."""


class SecretDamaged(SecretsError):
    """The host cannot read the stored value with its keys."""


class ConfigurationError(SecretsError):
    """What is configured here makes no sense."""


# The classes of the host's codes.
_classes: dict[str, type[SecretsError]] = {
    "not_set": SecretNotFound,
    "not_declared": SecretNotFound,
    "denied": SecretDenied,
    "not_approved": SecretDenied,
    "no_token": TokenRefused,
    "invalid_token": TokenRefused,
    "insecure": ConfigurationError,
    "integrity": SecretDamaged,
    "internal": HostUnavailable,
    "locked_out": HostUnavailable,
    "not_configured": HostUnavailable,
    "rate_limited": HostUnavailable,
    "sealed": HostUnavailable,
    "unavailable": HostUnavailable,
}


def error_of(code: str, message: str, status: int) -> SecretsError:
    """The error for an answer of the host. An unknown code counts as its status does."""
    kind = _classes.get(code) or (HostUnavailable if status >= 500 or status == 429 else SecretsError)
    return kind(message or f"the host answered with status {status}", code)
