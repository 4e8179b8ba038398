"""Whole conversations, byte for byte: what the AWS client sends, and what it must be answered.

The client's frames were recorded from the AWS client; the device's were put together by hand from
the protocol's description. A change of one byte is a change of the protocol.
"""

import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from awsiot.greengrasscoreipc import connect
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2
from awsiot.greengrasscoreipc.model import UnauthorizedError
from botocore.eventstream import EventStreamBuffer

from backends.local.nucleus.eventstream import decode, encode
from tests.fakes.core_device import CoreDevice
from tests.nucleus.test_eventstream import CONNECT, CONNECT_ACK
from tests.nucleus.test_ipc import COMPONENT, Events, RawClient

GET = bytes.fromhex(
    "000000e5000000c01e7255760d3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e12"
    "736572766963652d6d6f64656c2d747970650700266177732e677265656e677261737323476574436f6e66696775"
    "726174696f6e526571756573740d3a6d6573736167652d7479706504000000000e3a6d6573736167652d666c6167"
    "7304000000000a3a73747265616d2d69640400000001096f7065726174696f6e07001f6177732e677265656e6772"
    "61737323476574436f6e66696775726174696f6e7b226b657950617468223a205b22576f7264225d7d688b565c"
)
RESPONSE = bytes.fromhex(
    "000000e3000000958a3305ad0d3a6d6573736167652d7479706504000000000e3a6d6573736167652d666c616773"
    "04000000020a3a73747265616d2d696404000000010d3a636f6e74656e742d747970650700106170706c69636174"
    "696f6e2f6a736f6e12736572766963652d6d6f64656c2d747970650700276177732e677265656e67726173732347"
    "6574436f6e66696775726174696f6e526573706f6e73657b22636f6d706f6e656e744e616d65223a202265646765"
    "776172642e54657374222c202276616c7565223a207b22576f7264223a202268656c6c6f227d7d25023248"
)
PUBLISH = bytes.fromhex(
    "00000101000000c0087ae7cc0d3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e12"
    "736572766963652d6d6f64656c2d747970650700266177732e677265656e6772617373235075626c697368546f49"
    "6f54436f7265526571756573740d3a6d6573736167652d7479706504000000000e3a6d6573736167652d666c6167"
    "7304000000000a3a73747265616d2d69640400000002096f7065726174696f6e07001f6177732e677265656e6772"
    "617373235075626c697368546f496f54436f72657b22746f7069634e616d65223a202274222c2022716f73223a20"
    "2231222c20227061796c6f6164223a202265413d3d227dd4a10239"
)
ERROR = bytes.fromhex(
    "0000012c0000008ea04f60ee0d3a6d6573736167652d7479706504000000010e3a6d6573736167652d666c616773"
    "04000000020a3a73747265616d2d696404000000020d3a636f6e74656e742d747970650700106170706c69636174"
    "696f6e2f6a736f6e12736572766963652d6d6f64656c2d747970650700206177732e677265656e67726173732355"
    "6e617574686f72697a65644572726f727b225f73657276696365223a20226177732e677265656e67726173732347"
    "7265656e6772617373436f7265495043222c20225f6d657373616765223a20224e6f7420417574686f72697a6564"
    "222c20225f6572726f72436f6465223a2022556e617574686f72697a65644572726f72222c20226d657373616765"
    "223a20224e6f7420417574686f72697a6564227db1188b91"
)
SUBSCRIBE = bytes.fromhex(
    "000000fb000000dcd5a320da0d3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e12"
    "736572766963652d6d6f64656c2d747970650700346177732e677265656e67726173732353756273637269626554"
    "6f436f6e66696775726174696f6e557064617465526571756573740d3a6d6573736167652d747970650400000000"
    "0e3a6d6573736167652d666c61677304000000000a3a73747265616d2d69640400000003096f7065726174696f6e"
    "07002d6177732e677265656e677261737323537562736372696265546f436f6e66696775726174696f6e55706461"
    "74657b226b657950617468223a205b5d7d4d9b2750"
)
SUBSCRIBED = bytes.fromhex(
    "000000b5000000a3f2daaa5f0d3a6d6573736167652d7479706504000000000e3a6d6573736167652d666c616773"
    "04000000000a3a73747265616d2d696404000000030d3a636f6e74656e742d747970650700106170706c69636174"
    "696f6e2f6a736f6e12736572766963652d6d6f64656c2d747970650700356177732e677265656e67726173732353"
    "7562736372696265546f436f6e66696775726174696f6e557064617465526573706f6e73657b7d8901896b"
)
EVENT = bytes.fromhex(
    "000000fb0000009643aa88540d3a6d6573736167652d7479706504000000000e3a6d6573736167652d666c616773"
    "04000000000a3a73747265616d2d696404000000030d3a636f6e74656e742d747970650700106170706c69636174"
    "696f6e2f6a736f6e12736572766963652d6d6f64656c2d747970650700286177732e677265656e67726173732343"
    "6f6e66696775726174696f6e5570646174654576656e74737b22636f6e66696775726174696f6e55706461746545"
    "76656e74223a207b22636f6d706f6e656e744e616d65223a202265646765776172642e54657374222c20226b6579"
    "50617468223a205b22576f7264225d7d7da171811d"
)
TERMINATE = bytes.fromhex(
    "0000004700000037374cfe3f0d3a6d6573736167652d7479706504000000000e3a6d6573736167652d666c616773"
    "04000000020a3a73747265616d2d69640400000003c607a9e3"
)
FRAMES = {
    "connect": CONNECT,
    "connect ack": CONNECT_ACK,
    "request": GET,
    "response": RESPONSE,
    "request without a grant": PUBLISH,
    "error": ERROR,
    "subscription": SUBSCRIBE,
    "subscribed": SUBSCRIBED,
    "event": EVENT,
    "terminate": TERMINATE,
}


@pytest.mark.parametrize("golden", FRAMES.values(), ids=FRAMES)
def test_a_golden_frame_is_read_as_botocore_reads_it_and_written_byte_for_byte(
    golden: bytes,
) -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(golden)
    (independent,) = list(buffer)

    frame = decode(golden)

    assert encode(frame) == golden
    assert frame.payload == independent.payload
    assert {name: held.value for name, held in frame.headers.items()} == independent.headers


def test_the_device_answers_the_client_s_bytes_with_the_golden_bytes(tmp_path: Path) -> None:
    with CoreDevice(tmp_path, COMPONENT, {"Word": "hello"}) as device, RawClient(device) as raw:
        raw.connect()
        for request, answers in ((GET, [RESPONSE]), (PUBLISH, [ERROR]), (SUBSCRIBE, [SUBSCRIBED])):
            raw.socket.sendall(request)
            assert [raw.read_bytes() for _ in answers] == answers
        device.merge({"Word": "good-bye"})
        assert raw.read_bytes() == EVENT

        raw.socket.sendall(TERMINATE)
        raw.send(2, 0, 0, b"after")  # a ping: its answer shows that the stream's end was handled
        assert decode(raw.read_bytes()).payload == b"after"
        device.merge({"Word": "unheard"})
        raw.send(2, 0, 0, b"last")
        assert decode(raw.read_bytes()).payload == b"last"


class Recorder:
    """A server that answers by the book, from a list, and keeps what the client sends."""

    def __init__(self, path: Path, answers: list[bytes]) -> None:
        self.heard: list[bytes] = []
        self._answers = answers
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        client, _ = self._socket.accept()
        with client, self._socket:
            client.settimeout(10)
            for answer in [*self._answers, b""]:
                start = client.recv(4, socket.MSG_WAITALL)
                self.heard.append(
                    start + client.recv(int.from_bytes(start) - 4, socket.MSG_WAITALL)
                )
                client.sendall(answer)

    def wait(self) -> None:
        self._thread.join(timeout=10)


def test_the_aws_client_sends_the_golden_bytes_and_understands_the_answers(tmp_path: Path) -> None:
    server = Recorder(tmp_path / "s", [CONNECT_ACK, RESPONSE, ERROR, SUBSCRIBED + EVENT])
    client: Any = GreengrassCoreIPCClientV2(
        client=connect(ipc_socket=str(tmp_path / "s"), authtoken="TOK", timeout=10)
    )
    events = Events()

    assert client.get_configuration(key_path=["Word"]).value == {"Word": "hello"}
    with pytest.raises(UnauthorizedError) as refused:
        client.publish_to_iot_core(topic_name="t", qos="1", payload=b"x")
    _, stream = client.subscribe_to_configuration_update(key_path=[], **events.handlers())
    event = events.next().configuration_update_event
    stream.close().result(timeout=5)
    server.wait()
    client.close()

    assert refused.value.message == json.loads(decode(ERROR).payload)["message"]
    assert (event.component_name, event.key_path) == (COMPONENT, ["Word"])
    assert server.heard == [CONNECT, GET, PUBLISH, SUBSCRIBE, TERMINATE]
