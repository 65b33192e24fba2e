"""Host and AsyncHost against a real server in the process."""

import asyncio
import logging
import threading
from concurrent import futures

import grpc
import pytest

from datasette_secrets_plugin import AsyncHost, Host, NotSet, SecretsError, SecretStatus, Unavailable
from datasette_secrets_plugin._host import Calls
from datasette_secrets_plugin._pb import host_pb2, host_pb2_grpc
from datasette_secrets_plugin._status import refuse

LOGGER = logging.getLogger("test")


class Secrets(host_pb2_grpc.SecretsServicer):
    def __init__(self, silence):
        self.silence = silence

    def GetSecret(self, request, context):
        if request.name == "SILENT":
            self.silence.wait(30)
        if request.name != "KEY":
            refuse(context, NotSet())
        return host_pb2.GetSecretResponse(value=f"\xe9 of {request.actor_id}".encode() + b"\xff", source="env")

    def CanAccessSecret(self, request, context):
        return host_pb2.CanAccessSecretResponse(allowed=request.name == "KEY")

    def ListSecrets(self, request, context):
        return host_pb2.ListSecretsResponse(secrets=[host_pb2.SecretStatus(name="KEY", set=True, source="env")])


class Configuration(host_pb2_grpc.ConfigurationServicer):
    json = b"null"

    def GetConfig(self, request, context):
        return host_pb2.GetConfigResponse(json=self.json)


@pytest.fixture
def server(tmp_path_factory):
    silence = threading.Event()
    server = grpc.server(futures.ThreadPoolExecutor(4))
    configuration = Configuration()
    host_pb2_grpc.add_SecretsServicer_to_server(Secrets(silence), server)
    host_pb2_grpc.add_ConfigurationServicer_to_server(configuration, server)
    address = f"unix:{tmp_path_factory.mktemp('s')}/s"
    server.add_insecure_port(address)
    server.start()
    with grpc.insecure_channel(address) as channel:
        yield channel, configuration
    silence.set()
    server.stop(None).wait()


def test_host(server):
    channel, configuration = server
    host = Host(Calls(channel, LOGGER), LOGGER, threading.Event())
    assert host.get_secret("KEY", actor_id="ann").reveal() == "é of ann\udcff"
    assert host.get_secret("KEY").reveal() == "é of \udcff"
    assert host.can_access_secret("KEY") and not host.can_access_secret("OTHER")
    assert host.list_secrets() == [SecretStatus("KEY", True, "env")]
    assert host.config() == {}
    configuration.json = b'{"a": [1]}'
    assert host.config() == {"a": [1]}
    configuration.json = b"hunter2"
    with pytest.raises(SecretsError, match="it is not JSON"):
        host.config()
    with pytest.raises(NotSet, match="getting secret 'OTHER': secret is not set"):
        host.get_secret("OTHER")
    with pytest.raises(Unavailable, match="no answer in time"):
        host.get_secret("SILENT", timeout=0.05)
    channel.close()
    with pytest.raises(Unavailable, match="stopping"):
        host.get_secret("KEY")


def test_async_host(server):
    channel, _ = server

    async def main():
        host = AsyncHost(Calls(channel, LOGGER), LOGGER)
        values = await asyncio.gather(*(host.get_secret("KEY", f"{i}") for i in range(20)))
        assert [value.reveal() for value in values] == [f"é of {i}\udcff" for i in range(20)]
        assert await host.can_access_secret("KEY")
        assert await host.list_secrets() == [SecretStatus("KEY", True, "env")]
        assert await host.config() == {}
        with pytest.raises(NotSet):
            await host.get_secret("OTHER")
        with pytest.raises(Unavailable):
            await host.get_secret("SILENT", timeout=0.05)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(host.get_secret("SILENT"), 0.05)

    asyncio.run(main())


def test_a_host_that_is_not_there(tmp_path):
    with grpc.insecure_channel(f"unix:{tmp_path}/nobody") as channel:
        with pytest.raises(Unavailable):
            Host(Calls(channel, LOGGER), LOGGER, threading.Event()).get_secret("KEY")
