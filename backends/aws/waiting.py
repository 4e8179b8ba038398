"""Looking again and again, ever more slowly, until a time is up."""

import time
from collections.abc import Callable, Iterator

from botocore.exceptions import ClientError

from backends.aws.faults import missing

CONSISTENT_SECONDS = 15.0
"""What AWS has said to exist is found everywhere by then."""


def looks(seconds: float, pause: float = 0.2, longest: float = 3.0) -> Iterator[float]:
    """Yields at once, then after pauses that grow to `longest`; once more when time is up.

    Gives the seconds that have passed.
    """
    begun = time.monotonic()
    while True:
        passed = time.monotonic() - begun
        yield passed
        if passed >= seconds:
            return
        time.sleep(max(min(pause, seconds - passed), 0))
        pause = min(pause * 1.5, longest)


def found[T](read: Callable[[], T], seconds: float = CONSISTENT_SECONDS) -> T:
    """What `read` gives, of something that exists, though it may not be found at once."""
    last: ClientError | None = None
    for _ in looks(seconds):
        try:
            return read()
        except ClientError as error:
            if not missing(error):
                raise
            last = error
    assert last is not None
    raise last
