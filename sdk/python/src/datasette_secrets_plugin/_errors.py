"""The errors that a plugin can tell apart."""


class SecretsError(Exception):
    """The base of every error of Host and AsyncHost."""


class NotSet(SecretsError):
    """The secret is declared, but has no value yet."""


class Denied(SecretsError):
    """The plugin did not declare this secret, or the actor may not use it."""


class NotDeclared(Denied):
    """The plugin did not declare this secret."""


class NotApproved(Denied):
    """The plugin declared this secret, but an administrator has not approved it."""


class NotConfigured(SecretsError):
    """The host has no encryption key and so no database of secrets."""


class Sealed(SecretsError):
    """The host's keys have to be unsealed by a person first."""


class IntegrityError(SecretsError):
    """The stored value cannot be read with the host's keys."""


class Unavailable(SecretsError):
    """The host cannot be reached or cannot answer now. Try again later."""


class Invalid(SecretsError):
    """The request itself is wrong."""


class NotFound(SecretsError):
    """There is no such thing."""
