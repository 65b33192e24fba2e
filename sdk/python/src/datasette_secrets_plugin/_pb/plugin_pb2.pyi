from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class InitRequest(_message.Message):
    __slots__ = ("host_version", "protocol_minor", "plugin_name", "host_address")
    HOST_VERSION_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_MINOR_FIELD_NUMBER: _ClassVar[int]
    PLUGIN_NAME_FIELD_NUMBER: _ClassVar[int]
    HOST_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    host_version: str
    protocol_minor: int
    plugin_name: str
    host_address: str
    def __init__(self, host_version: _Optional[str] = ..., protocol_minor: _Optional[int] = ..., plugin_name: _Optional[str] = ..., host_address: _Optional[str] = ...) -> None: ...

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
    __slots__ = ("name", "description", "obtain_url", "obtain_label")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    OBTAIN_URL_FIELD_NUMBER: _ClassVar[int]
    OBTAIN_LABEL_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    obtain_url: str
    obtain_label: str
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., obtain_url: _Optional[str] = ..., obtain_label: _Optional[str] = ...) -> None: ...

class StartRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StartResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
