"""The pipeline behind LitServe, one worker: python -m benchmarks.peer_litserve RELEASES PORT."""

import base64
import sys
from pathlib import Path

import litserve
from benchmarks.peer_pipeline import PeerPipeline
from fastapi import Response

BATCH = 32
WAIT_S = 0.001


class Recommend(litserve.LitAPI):  # type: ignore[misc]
    """Bytes in, bytes out."""

    def __init__(self, releases: Path) -> None:
        super().__init__(max_batch_size=BATCH, batch_timeout=WAIT_S)
        self._releases = releases

    def setup(self, _device: str) -> None:
        """Load the release, in the process of the worker."""
        self._pipeline = PeerPipeline(self._releases)

    def decode_request(self, request: dict[str, str]) -> bytes:
        """LitServe has read the JSON before it hands the request to the worker."""
        return base64.b64decode(request["request"])

    def batch(self, inputs: list[bytes]) -> list[bytes]:
        """As they are."""
        return inputs

    def predict(self, inputs: list[bytes]) -> list[bytes]:
        """A batch."""
        return self._pipeline.answer(inputs)

    def unbatch(self, output: list[bytes]) -> list[bytes]:
        """As they are."""
        return output

    def encode_response(self, output: bytes) -> Response:
        """As it is."""
        return Response(output, media_type="application/x-protobuf")


def main() -> None:
    """Serve until a signal comes."""
    releases, port = sys.argv[1:]
    api = Recommend(Path(releases))
    litserve.LitServer(api, accelerator="cpu", workers_per_device=1).run(
        host="127.0.0.1",
        port=int(port),
        num_api_servers=1,
        generate_client_file=False,
        log_level="warning",
        api_server_worker_type="thread",
    )


if __name__ == "__main__":
    main()
