"""Downloads that break off go on where they stopped, from servers of every kind."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from nasbench_eval.errors import UsageError
from nasbench_eval.truth import download as module
from nasbench_eval.truth.download import download
from nasbench_eval.truth.sources import Source

CONTENT = np.random.default_rng(0).bytes(100_000)


class Server(ThreadingHTTPServer):
    """Serves `content` at every path, and notes the ranges that are asked for."""

    content = CONTENT
    ranges = True
    breaks_after: int | None = None

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []

    @property
    def source(self) -> Source:
        url = f"http://127.0.0.1:{self.server_address[1]}/file.tfrecord"
        return Source(url, sha256=hashlib.sha256(CONTENT).hexdigest(), size=len(CONTENT))


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        self.server.asked.append(asked)
        begin = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.server.ranges else 0
        body = self.server.content[begin:]
        if begin >= len(self.server.content):
            self.send_response(416)
            body = b""
        elif begin:
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{begin + len(body) - 1}/{begin + len(body)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        # A connection that breaks has promised all and sends less.
        self.wfile.write(body[: self.server.breaks_after])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(module, "_CHUNK", 1000)
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def said() -> list[str]:
    return []


def files(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in folder.iterdir()}


def test_a_whole_download(
    server: Server, tmp_path: Path, said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = download(server.source, tmp_path, said.append)
    assert path == tmp_path / "file.tfrecord"
    assert path.read_bytes() == CONTENT
    assert files(tmp_path) == {"file.tfrecord": len(CONTENT)}
    assert (server.asked, said) == ([None], [])
    assert capsys.readouterr() == ("", ""), "no bar where there is no terminal"
    download(server.source, tmp_path, said.append)
    assert server.asked == [None], "what is there is not fetched again"


def test_an_interrupted_download_goes_on(server: Server, tmp_path: Path, said: list[str]) -> None:
    server.breaks_after = 40_000
    with pytest.raises(UsageError, match=r"cannot fetch http.*0 MB are there, the same command continues"):
        download(server.source, tmp_path, said.append)
    assert files(tmp_path) == {"file.tfrecord.part": 40_000}
    with pytest.raises(UsageError, match="the same command continues"):
        download(server.source, tmp_path, said.append)
    assert files(tmp_path) == {"file.tfrecord.part": 80_000}
    server.breaks_after = None
    assert download(server.source, tmp_path, said.append).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=40000-", "bytes=80000-"]
    assert said == ["going on after 40000 bytes", "going on after 80000 bytes"]
    assert files(tmp_path) == {"file.tfrecord": len(CONTENT)}


def test_a_server_that_ignores_ranges_starts_anew(server: Server, tmp_path: Path, said: list[str]) -> None:
    server.ranges = False
    (tmp_path / "file.tfrecord.part").write_bytes(CONTENT[:70_000])
    assert download(server.source, tmp_path, said.append).read_bytes() == CONTENT
    assert server.asked == ["bytes=70000-"]
    assert said == ["starting anew: the server cannot go on"]


def test_a_part_that_is_all_there(server: Server, tmp_path: Path, said: list[str]) -> None:
    (tmp_path / "file.tfrecord.part").write_bytes(CONTENT)
    assert download(server.source, tmp_path, said.append).read_bytes() == CONTENT
    assert server.asked == []
    (tmp_path / "file.tfrecord").rename(tmp_path / "file.tfrecord.part")
    # Where the size is not known, the server says that nothing comes after.
    unsized = Source(server.source.url, sha256=server.source.sha256)
    assert download(unsized, tmp_path, said.append).read_bytes() == CONTENT
    assert server.asked == ["bytes=100000-"]


@pytest.mark.parametrize("part", [b"", b"other" * 10, b"other" * 30_000])
def test_a_wrong_checksum(server: Server, tmp_path: Path, said: list[str], part: bytes) -> None:
    if part:
        (tmp_path / "file.tfrecord.part").write_bytes(part)
    else:
        server.content = b"moved" * 100
    with pytest.raises(UsageError, match=r"does not have the pinned sha256 .* and was deleted; try again"):
        download(server.source, tmp_path, said.append)
    assert files(tmp_path) == {}
    server.content = CONTENT
    assert download(server.source, tmp_path, said.append).read_bytes() == CONTENT


def test_a_file_put_there_by_hand(server: Server, tmp_path: Path, said: list[str]) -> None:
    (tmp_path / "file.tfrecord").write_bytes(b"other")
    with pytest.raises(UsageError, match=r"does not have the pinned sha256 .*; delete it and try again"):
        download(server.source, tmp_path, said.append)
    assert files(tmp_path) == {"file.tfrecord": 5}
    (tmp_path / "file.tfrecord").write_bytes(CONTENT)
    assert download(server.source, tmp_path, said.append).read_bytes() == CONTENT
    assert server.asked == []


def test_no_server(tmp_path: Path, said: list[str]) -> None:
    # Nothing listens on port 9 of the loopback interface.
    source = Source("http://127.0.0.1:9/file.tfrecord", sha256="0" * 64)
    with pytest.raises(UsageError, match=r"cannot fetch http.*refused.*or fetch it by other means to"):
        download(source, tmp_path, said.append)
    assert files(tmp_path) == {}


def test_a_folder_that_cannot_be_written_to(server: Server, tmp_path: Path, said: list[str]) -> None:
    with pytest.raises(UsageError, match=r"cannot write .*file\.tfrecord\.part"):
        download(server.source, tmp_path / "nowhere", said.append)
