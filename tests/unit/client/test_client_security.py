"""What clients prove and demand: TLS on real sockets, and tokens that never travel in plain text to other machines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from unbraid.v1 import recommendation_pb2 as pb
from unbraid_client import AsyncUnbraidClient, Question, ServerError, Tls, Unavailable, UnbraidClient
from unbraid_client.bearer import is_loopback

if TYPE_CHECKING:
    from tests.unit.client.conftest import ScriptedServer
    from tests.unit.conftest import Authority

Call = Callable[..., None]


class Recorder(grpc.ServerInterceptor):
    """Keeps what every call says of its caller, whatever the method; there is none, so all are UNIMPLEMENTED."""

    def __init__(self) -> None:
        self.tokens: list[list[str]] = []

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        metadata = handler_call_details.invocation_metadata
        self.tokens.append([str(value) for key, value in metadata if key == "authorization"])
        return continuation(handler_call_details)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def listen(recorder: Recorder) -> Iterator[Callable[[grpc.ServerCredentials | None], int]]:
    """Starts the server of the recorder and returns its port."""
    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool, interceptors=[recorder], options=[("grpc.so_reuseport", 0)])

        def start(credentials: grpc.ServerCredentials | None) -> int:
            address = "127.0.0.1:0"
            port = (
                server.add_insecure_port(address)
                if credentials is None
                else server.add_secure_port(address, credentials)
            )
            server.start()
            return port

        yield start
        server.stop(grace=None).wait()


def call_blocking(target: str, **options: Any) -> None:
    with UnbraidClient(target, **options) as client:
        with pytest.raises(ServerError):
            client.get_status()
        with pytest.raises(ServerError):
            list(client.rebuild_index())
        with pytest.raises(ServerError):
            list(client.stream_recommend([Question(user_id="7")]))


def call_with_asyncio(target: str, **options: Any) -> None:
    async def make() -> None:
        async with AsyncUnbraidClient(target, **options) as client:
            with pytest.raises(ServerError):
                await client.get_status()
            with pytest.raises(ServerError):
                [news async for news in client.rebuild_index()]
            with pytest.raises(ServerError):
                [answer async for answer in client.stream_recommend(questions())]

    async def questions() -> AsyncIterator[Question]:
        yield Question(user_id="7")

    asyncio.run(make())


both_clients = pytest.mark.parametrize("call", [call_blocking, call_with_asyncio])


@both_clients
def test_a_token_goes_with_every_call(
    recorder: Recorder, listen: Callable[[grpc.ServerCredentials | None], int], call: Call
) -> None:
    call(f"127.0.0.1:{listen(None)}", token="t-1")
    assert recorder.tokens == [["Bearer t-1"]] * 3


@both_clients
def test_a_source_of_tokens_is_asked_before_every_call(
    recorder: Recorder, listen: Callable[[grpc.ServerCredentials | None], int], call: Call
) -> None:
    numbers = count(1)
    call(f"127.0.0.1:{listen(None)}", token=lambda: f"t-{next(numbers)}")
    assert recorder.tokens == [["Bearer t-1"], ["Bearer t-2"], ["Bearer t-3"]]


@both_clients
def test_without_a_token_none_is_sent(
    recorder: Recorder, listen: Callable[[grpc.ServerCredentials | None], int], call: Call
) -> None:
    call(f"127.0.0.1:{listen(None)}")
    assert recorder.tokens == [[], [], []]


@both_clients
def test_tls_with_a_certificate_of_the_client(
    recorder: Recorder,
    listen: Callable[[grpc.ServerCredentials | None], int],
    authority: Authority,
    tmp_path: Path,
    call: Call,
) -> None:
    issued = authority.issue("unbraid")
    certificate, key = authority.issue("reader").write(tmp_path, "client")
    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority.certificate)
    port = listen(grpc.ssl_server_credentials([(issued.key, issued.certificate)], authority.certificate, True))
    call(f"localhost:{port}", tls=Tls(ca=ca, certificate=certificate, key=key), token="t-1")
    call(f"127.0.0.1:{port}", tls=Tls(ca=ca, certificate=certificate, key=key, server_name="unbraid"))
    assert recorder.tokens == [["Bearer t-1"]] * 3 + [[]] * 3
    wrong_name = Tls(ca=ca, certificate=certificate, key=key, server_name="elsewhere.example")
    with UnbraidClient(f"localhost:{port}", tls=wrong_name) as client, pytest.raises(Unavailable):
        client.get_status(timeout_s=5)
    assert len(recorder.tokens) == 6


@pytest.mark.parametrize("target", ["10.0.0.7:50051", "dns:///recommender:50051", "localhost.example.org:1", "[::2]:5"])
def test_a_token_does_not_travel_in_plain_text(target: str) -> None:
    with pytest.raises(ValueError, match=r"must not travel to .+ in plain text") as caught:
        UnbraidClient(target, token="t-secret")
    assert "t-secret" not in str(caught.value)


def test_nor_does_it_through_the_proxy_of_the_environment(
    recorder: Recorder, listen: Callable[[grpc.ServerCredentials | None], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    call_blocking(f"127.0.0.1:{listen(None)}", token="t-1")
    assert recorder.tokens == [["Bearer t-1"]] * 3


@pytest.mark.parametrize(
    ("target", "stays"),
    [
        ("127.0.0.1:5", True),
        ("127.8.0.1", True),
        ("localhost:5", True),
        ("[::1]:5", True),
        ("dns:///localhost:5", True),
        ("ipv4:127.0.0.1:5,127.0.0.2:5", True),
        ("ipv6:[::1]:5", True),
        ("unix:/run/unbraid.sock", True),
        ("unix:///run/unbraid.sock", True),
        ("", False),
        ("0.0.0.0:5", False),
        ("ipv4:127.0.0.1:5,10.0.0.1:5", False),
        ("dns://8.8.8.8/localhost:5", False),
        ("xds:///localhost:5", False),
        ("127.0.0.1.example.org:5", False),
        ("unix.example.org:5", False),
        ("vsock:1:2", False),
    ],
)
def test_which_targets_stay_on_this_machine(target: str, stays: bool) -> None:
    assert is_loopback(target) is stays


def test_a_pair_is_whole_and_there_is_one_kind_of_encryption(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="belong together"):
        Tls(certificate=tmp_path / "c.pem")
    with pytest.raises(ValueError, match="either credentials or tls"):
        UnbraidClient("localhost:1", tls=Tls(), credentials=grpc.ssl_channel_credentials())
    with pytest.raises(FileNotFoundError):
        UnbraidClient("localhost:1", tls=Tls(ca=tmp_path / "nowhere.pem"))


def test_each_client_has_a_connection_of_its_own(server: ScriptedServer) -> None:
    """So that those who open several reach several workers."""
    server.answer(pb.RecommendResponse())
    with UnbraidClient(server.target) as first, UnbraidClient(server.target) as second:
        for client in (first, second, first):
            client.recommend(user_id="7")
    one, another, again = server.peers
    assert one == again != another
