"""Files that others read while we write: always whole, old or new."""

import os
import uuid
from pathlib import Path


def replace_file(
    path: Path, content: bytes | str, mode: int | None = None, durable: bool = False
) -> None:
    """Replaces `path` by `content` (text as UTF-8), making its folder if need be.

    `mode` is the file's; None: what the umask leaves of 0666. `durable`: on the disk when this
    returns. Raises OSError; nothing is left behind then, and the old file stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}")
    data = content.encode() if isinstance(content, str) else content
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        with os.fdopen(
            os.open(unfinished, flags, 0o666 if mode is None else 0o600), "wb"
        ) as stream:
            stream.write(data)
            if mode is not None:
                os.fchmod(stream.fileno(), mode)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
