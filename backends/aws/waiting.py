"""Looking again and again, ever more slowly, until a time is up."""

import time
from collections.abc import Iterator


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
