"""Fetches a large file so that a cut connection costs what was not yet fetched, and no more."""

import hashlib
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Literal

import httpx

from backends.errors import BackendUnavailableError, InvalidInputError
from backends.ports import Progress

_ATTEMPTS = 5  # in a row without a single new byte
_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Checksum:
    algorithm: Literal["md5", "sha256"]
    hexdigest: str


def download(url: str, into: Path, checksum: Checksum | None, progress: Progress) -> None:
    """Fetch `url` into the file `into`, going on where an earlier call or attempt stopped.

    What is not complete has the suffix `.part`. Raises BackendUnavailableError when the server
    does not answer, and InvalidInputError, having removed the file, when the checksum differs.
    """
    if into.is_file():
        return
    part = into.with_name(f"{into.name}.part")
    fruitless = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            _go_on(url, part, before, progress)
            break
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            after = part.stat().st_size if part.exists() else 0
            fruitless = 0 if after > before else fruitless + 1
            if fruitless >= _ATTEMPTS or isinstance(
                error, (httpx.InvalidURL, httpx.UnsupportedProtocol)
            ):
                reason = f"{error or type(error).__name__}"
                raise BackendUnavailableError(
                    url, reason, "Run again: it goes on where it stopped."
                ) from error
    _check(url, part, checksum)
    part.replace(into)


def _go_on(url: str, part: Path, have: int, progress: Progress) -> None:
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with httpx.stream(
        "GET", url, headers=headers, follow_redirects=True, timeout=_SECONDS
    ) as answer:
        if answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # everything is here; the checksum will tell
        if answer.is_error:
            raise BackendUnavailableError(
                url, f"it answered {answer.status_code}", "Check the address."
            )
        resumed = answer.status_code == HTTPStatus.PARTIAL_CONTENT
        done = have if resumed else 0
        length = int(answer.headers.get("Content-Length", 0))
        total = done + length if length else 0
        with part.open("ab" if resumed else "wb") as stream:
            for block in answer.iter_raw():
                stream.write(block)
                done += len(block)
                progress(done, total)


def _check(url: str, part: Path, checksum: Checksum | None) -> None:
    if checksum is None:
        return
    with part.open("rb") as stream:
        found = hashlib.file_digest(stream, checksum.algorithm).hexdigest()
    if found != checksum.hexdigest:
        part.unlink()
        reason = f"its {checksum.algorithm} is {found}, and {checksum.hexdigest} was expected"
        raise InvalidInputError(url, reason, "What was fetched is removed; check the address.")
