"""Tells people by a webhook: one JSON document, by POST.

`urllib` writes no address into a log, as other clients do; a webhook's address is its password.
"""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http.client import HTTPException

from backends.artifacts import Message, Severity
from backends.errors import BackendUnavailableError

SECONDS = 20.0


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A message is not carried to where the webhook did not say."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


@dataclass(frozen=True, slots=True)
class WebhookChannel:
    """The Channel port: `subject`, `body`, `text` (both together), `severity` and `id`."""

    url: str = field(repr=False)
    least: Severity = "info"
    name: str = "webhook"

    def send(self, message: Message) -> None:
        document = {
            "subject": message.subject,
            "body": message.body,
            "text": f"{message.subject}: {message.body}",
            "severity": message.severity,
            "id": message.id,
        }
        try:
            request = urllib.request.Request(  # noqa: S310  the settings allow http and https
                self.url,
                json.dumps(document).encode(),
                {"Content-Type": "application/json", "User-Agent": "edgeward"},
            )
            opener = urllib.request.build_opener(_NoRedirect)
            with opener.open(request, timeout=SECONDS):
                return
        except urllib.error.HTTPError as error:
            error.close()
            raise _unavailable(f"it answered {error.code}") from None
        except urllib.error.URLError as error:
            raise _unavailable(type(error.reason).__name__) from None
        except (OSError, HTTPException, ValueError) as error:
            raise _unavailable(type(error).__name__) from None


def _unavailable(reason: str) -> BackendUnavailableError:
    """Without the cause: its text may hold the address."""
    return BackendUnavailableError("the webhook", reason, "Look at EDGEWARD_NOTIFY__WEBHOOK.")
