from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetSecretRequest(_message.Message):
    __slots__ = ("name", "actor_id", "actor_token")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ACTOR_ID_FIELD_NUMBER: _ClassVar[int]
    ACTOR_TOKEN_FIELD_NUMBER: _ClassVar[int]
    name: str
    actor_id: str
    actor_token: str
    def __init__(self, name: _Optional[str] = ..., actor_id: _Optional[str] = ..., actor_token: _Optional[str] = ...) -> None: ...

class GetSecretResponse(_message.Message):
    __slots__ = ("value", "source", "version", "max_age_seconds")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MAX_AGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    value: bytes
    source: str
    version: int
    max_age_seconds: int
    def __init__(self, value: _Optional[bytes] = ..., source: _Optional[str] = ..., version: _Optional[int] = ..., max_age_seconds: _Optional[int] = ...) -> None: ...

class GetSecretsRequest(_message.Message):
    __slots__ = ("names", "actor_id", "actor_token")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    ACTOR_ID_FIELD_NUMBER: _ClassVar[int]
    ACTOR_TOKEN_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    actor_id: str
    actor_token: str
    def __init__(self, names: _Optional[_Iterable[str]] = ..., actor_id: _Optional[str] = ..., actor_token: _Optional[str] = ...) -> None: ...

class GetSecretsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[SecretResult]
    def __init__(self, results: _Optional[_Iterable[_Union[SecretResult, _Mapping]]] = ...) -> None: ...

class SecretResult(_message.Message):
    __slots__ = ("name", "found", "error")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    name: str
    found: GetSecretResponse
    error: str
    def __init__(self, name: _Optional[str] = ..., found: _Optional[_Union[GetSecretResponse, _Mapping]] = ..., error: _Optional[str] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("names", "cursor")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    cursor: str
    def __init__(self, names: _Optional[_Iterable[str]] = ..., cursor: _Optional[str] = ...) -> None: ...

class Change(_message.Message):
    __slots__ = ("kind", "name", "version", "cursor")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[Change.Kind]
        OPENED: _ClassVar[Change.Kind]
        UPDATED: _ClassVar[Change.Kind]
        REVOKED: _ClassVar[Change.Kind]
        RESYNC: _ClassVar[Change.Kind]
    KIND_UNSPECIFIED: Change.Kind
    OPENED: Change.Kind
    UPDATED: Change.Kind
    REVOKED: Change.Kind
    RESYNC: Change.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    kind: Change.Kind
    name: str
    version: int
    cursor: str
    def __init__(self, kind: _Optional[_Union[Change.Kind, str]] = ..., name: _Optional[str] = ..., version: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class CanAccessSecretRequest(_message.Message):
    __slots__ = ("name", "actor_id", "actor_token")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ACTOR_ID_FIELD_NUMBER: _ClassVar[int]
    ACTOR_TOKEN_FIELD_NUMBER: _ClassVar[int]
    name: str
    actor_id: str
    actor_token: str
    def __init__(self, name: _Optional[str] = ..., actor_id: _Optional[str] = ..., actor_token: _Optional[str] = ...) -> None: ...

class CanAccessSecretResponse(_message.Message):
    __slots__ = ("allowed",)
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    allowed: bool
    def __init__(self, allowed: bool = ...) -> None: ...

class ListSecretsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListSecretsResponse(_message.Message):
    __slots__ = ("secrets",)
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    secrets: _containers.RepeatedCompositeFieldContainer[SecretStatus]
    def __init__(self, secrets: _Optional[_Iterable[_Union[SecretStatus, _Mapping]]] = ...) -> None: ...

class SecretStatus(_message.Message):
    __slots__ = ("name", "set", "source")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SET_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    set: bool
    source: str
    def __init__(self, name: _Optional[str] = ..., set: bool = ..., source: _Optional[str] = ...) -> None: ...

class GetConfigRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetConfigResponse(_message.Message):
    __slots__ = ("json",)
    JSON_FIELD_NUMBER: _ClassVar[int]
    json: bytes
    def __init__(self, json: _Optional[bytes] = ...) -> None: ...
