"""Work in the background that lasts as long as the device: a fault of it is logged, not its end."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

logger = logging.getLogger(__name__)

AGAIN_SECONDS = 1.0

Work = Callable[[], Coroutine[Any, Any, None]]


def keep_up(work: Work) -> asyncio.Task[None]:
    """Begins `work` again, a little later, whenever it fails; until cancelled."""
    return asyncio.create_task(_keep_up(work), name=work.__qualname__)


async def _keep_up(work: Work) -> None:
    while True:
        try:
            await work()
        except Exception:
            logger.exception("%s failed, and begins again", work.__qualname__)
        await asyncio.sleep(AGAIN_SECONDS)
