from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class InitRequest(_message.Message):
    __slots__ = ("host_version", "protocol_minor", "plugin_name", "host_address", "host_services", "host_broker_id")
    HOST_VERSION_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_MINOR_FIELD_NUMBER: _ClassVar[int]
    PLUGIN_NAME_FIELD_NUMBER: _ClassVar[int]
    HOST_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    HOST_SERVICES_FIELD_NUMBER: _ClassVar[int]
    HOST_BROKER_ID_FIELD_NUMBER: _ClassVar[int]
    host_version: str
    protocol_minor: int
    plugin_name: str
    host_address: str
    host_services: _containers.RepeatedScalarFieldContainer[str]
    host_broker_id: int
    def __init__(self, host_version: _Optional[str] = ..., protocol_minor: _Optional[int] = ..., plugin_name: _Optional[str] = ..., host_address: _Optional[str] = ..., host_services: _Optional[_Iterable[str]] = ..., host_broker_id: _Optional[int] = ...) -> None: ...

class InitResponse(_message.Message):
    __slots__ = ("version", "services")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    version: str
    services: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, version: _Optional[str] = ..., services: _Optional[_Iterable[str]] = ...) -> None: ...

class ShutdownRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ShutdownResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RegisterSecretsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RegisterSecretsResponse(_message.Message):
    __slots__ = ("secrets",)
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    secrets: _containers.RepeatedCompositeFieldContainer[Secret]
    def __init__(self, secrets: _Optional[_Iterable[_Union[Secret, _Mapping]]] = ...) -> None: ...

class Secret(_message.Message):
    __slots__ = ("name", "description", "obtain_url", "obtain_label", "pattern", "example", "multiline", "redact")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    OBTAIN_URL_FIELD_NUMBER: _ClassVar[int]
    OBTAIN_LABEL_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_FIELD_NUMBER: _ClassVar[int]
    MULTILINE_FIELD_NUMBER: _ClassVar[int]
    REDACT_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    obtain_url: str
    obtain_label: str
    pattern: str
    example: str
    multiline: bool
    redact: Redact
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., obtain_url: _Optional[str] = ..., obtain_label: _Optional[str] = ..., pattern: _Optional[str] = ..., example: _Optional[str] = ..., multiline: bool = ..., redact: _Optional[_Union[Redact, _Mapping]] = ...) -> None: ...

class Redact(_message.Message):
    __slots__ = ("prefix", "suffix")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    SUFFIX_FIELD_NUMBER: _ClassVar[int]
    prefix: int
    suffix: int
    def __init__(self, prefix: _Optional[int] = ..., suffix: _Optional[int] = ...) -> None: ...

class StartRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StartResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TestSecretRequest(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: bytes
    def __init__(self, name: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...

class TestSecretResponse(_message.Message):
    __slots__ = ("ok", "message")
    OK_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ok: bool
    message: str
    def __init__(self, ok: bool = ..., message: _Optional[str] = ...) -> None: ...

class Actor(_message.Message):
    __slots__ = ("json", "token")
    JSON_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    json: bytes
    token: str
    def __init__(self, json: _Optional[bytes] = ..., token: _Optional[str] = ...) -> None: ...

class MenuLinksRequest(_message.Message):
    __slots__ = ("actor",)
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    actor: Actor
    def __init__(self, actor: _Optional[_Union[Actor, _Mapping]] = ...) -> None: ...

class MenuLinksResponse(_message.Message):
    __slots__ = ("links",)
    LINKS_FIELD_NUMBER: _ClassVar[int]
    links: _containers.RepeatedCompositeFieldContainer[MenuLink]
    def __init__(self, links: _Optional[_Iterable[_Union[MenuLink, _Mapping]]] = ...) -> None: ...

class MenuLink(_message.Message):
    __slots__ = ("href", "label")
    HREF_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    href: str
    label: str
    def __init__(self, href: _Optional[str] = ..., label: _Optional[str] = ...) -> None: ...

class ActorsFromIDsRequest(_message.Message):
    __slots__ = ("ids",)
    IDS_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, ids: _Optional[_Iterable[str]] = ...) -> None: ...

class ActorsFromIDsResponse(_message.Message):
    __slots__ = ("actors",)
    class ActorsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: bytes
        def __init__(self, key: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...
    ACTORS_FIELD_NUMBER: _ClassVar[int]
    actors: _containers.ScalarMap[str, bytes]
    def __init__(self, actors: _Optional[_Mapping[str, bytes]] = ...) -> None: ...

class ActorFromRequestRequest(_message.Message):
    __slots__ = ("method", "path", "headers")
    class HeadersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    METHOD_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    method: str
    path: str
    headers: _containers.ScalarMap[str, str]
    def __init__(self, method: _Optional[str] = ..., path: _Optional[str] = ..., headers: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ActorFromRequestResponse(_message.Message):
    __slots__ = ("actor_json",)
    ACTOR_JSON_FIELD_NUMBER: _ClassVar[int]
    actor_json: bytes
    def __init__(self, actor_json: _Optional[bytes] = ...) -> None: ...

class ListenRequest(_message.Message):
    __slots__ = ("address", "key", "prefix")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    address: str
    key: bytes
    prefix: str
    def __init__(self, address: _Optional[str] = ..., key: _Optional[bytes] = ..., prefix: _Optional[str] = ...) -> None: ...

class ListenResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
