import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parents[1]


def test_the_generated_code_is_current(tmp_path):
    subprocess.run([sys.executable, HERE / "generate.py", tmp_path], check=True)
    package = Path("datasette_secrets_plugin", "_pb")
    made = {path.name: path.read_text() for path in (tmp_path / package).iterdir()}
    kept = {path.name: path.read_text() for path in (HERE / "src" / package).glob("*_pb2*")}
    assert made == kept, "run: make generate"


def test_other_packages_may_define_the_same_messages():
    """A plugin that uses another gRPC library has google.rpc in its process too."""
    from google.protobuf import descriptor_pb2, descriptor_pool

    import datasette_secrets_plugin  # noqa: F401

    for name, package, message in (
        ("google/rpc/status.proto", "google.rpc", "Status"),
        ("google/rpc/error_details.proto", "google.rpc", "ErrorInfo"),
        ("grpc/health/v1/health.proto", "grpc.health.v1", "HealthCheckRequest"),
        ("plugin.proto", "plugin", "Secret"),
        ("host.proto", "host", "Secret"),
    ):
        file = descriptor_pb2.FileDescriptorProto(name=name, package=package)
        file.message_type.add(name=message)
        descriptor_pool.Default().Add(file)
        assert descriptor_pool.Default().FindMessageTypeByName(f"{package}.{message}")
