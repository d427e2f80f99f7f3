"""Downloads a large file so that an interrupted download goes on where it stopped."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import requests
from tqdm import tqdm

from nasbench_eval.errors import UsageError
from nasbench_eval.truth.sources import Source, reason

_CHUNK = 1 << 18
_TIMEOUT = 60


def download(source: Source, folder: Path, say: Callable[[str], None]) -> Path:
    """The source's file in `folder`, downloaded unless it is there already.

    What has arrived stands in a file `.part`, from whose end the next call goes on.

    Args:
        source: pinned by its sha256.
        folder: exists.
        say: told in a line where a download goes on or has to start anew.

    Raises:
        UsageError: if the download breaks off or cannot be written, or the file has another checksum than
            the pinned one: it is deleted then, if it was downloaded.
    """
    path, part = folder / source.name, folder / f"{source.name}.part"
    if path.is_file():
        if sha256_of(path) != source.sha256:
            raise UsageError(
                f"{path} does not have the pinned sha256 {source.sha256}; delete it and try again"
            )
        return path
    try:
        _continue(source, part, say)
    except requests.RequestException as error:
        have = part.stat().st_size if part.is_file() else 0
        raise UsageError(
            f"cannot fetch {source.url} ({reason(error)}); {have / 1e6:.0f} MB are there, the same command "
            f"continues; or fetch it by other means to {path}"
        ) from error
    except OSError as error:
        raise UsageError(f"cannot write {part} ({error.strerror or error})") from error
    if sha256_of(part) != source.sha256:
        part.unlink()
        raise UsageError(
            f"{source.url} does not have the pinned sha256 {source.sha256} and was deleted; try again, or "
            f"put the official file at {path}"
        )
    os.replace(part, path)
    return path


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes."""
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            sha256.update(chunk)
    return sha256.hexdigest()


def _continue(source: Source, part: Path, say: Callable[[str], None]) -> None:
    have = part.stat().st_size if part.is_file() else 0
    if have and have == source.size:
        return
    # Bytes as they are stored: positions in a compressed stream would be others.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(source.url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
        if have and response.status_code == requests.codes.requested_range_not_satisfiable:
            return  # nothing comes after what is there; the checksum says whether it is right
        response.raise_for_status()
        if have:
            partial = response.status_code == requests.codes.partial_content
            say(f"going on after {have} bytes" if partial else "starting anew: the server cannot go on")
            have *= partial
        with (
            part.open("ab" if have else "wb") as file,
            tqdm(
                total=source.size, initial=have, unit="B", unit_scale=True, desc=source.name, disable=None
            ) as bar,
        ):
            for chunk in response.iter_content(_CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
