"""Events that must not get lost: they are on the server when the call returns.

What is written down afterwards may rely on it that the event was heard. The same event again (its
id says so) is stored once.
"""

from prefect.client.orchestration import get_client
from prefect.events import Event


def tell_surely(event: Event) -> None:
    """Raises httpx's errors where the server does not take it."""
    with get_client(sync_client=True) as client:
        answer = client._client.post("/events", json=[event.model_dump(mode="json")])
        answer.raise_for_status()
