"""The SageMaker SDK (`sagemaker.core`), imported when it is used: that takes five seconds.

The SDK makes its clients from a boto3 session. Ours gives it the account's, which know the
endpoint, have bounded waits, and tell of every call.
"""

import warnings
from typing import Any

import boto3

from backends.aws.account import Account


class AccountSession(boto3.Session):  # type: ignore[misc]
    """A session whose clients are an account's."""

    def __init__(self, account: Account) -> None:
        super().__init__(region_name=account.region or None)
        self._account = account

    def client(self, service_name: str, *_: Any, **__: Any) -> Any:
        return self._account.client(service_name)


def sdk() -> tuple[Any, Any]:
    """`sagemaker.core`'s resources (jobs to create and follow) and shapes (their parameters)."""
    with warnings.catch_warnings():
        # Its docstrings hold stray backslashes, and Python says so where nothing is compiled yet.
        warnings.filterwarnings("ignore", "invalid escape sequence", SyntaxWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        from sagemaker.core import resources, shapes
    return resources, shapes


def algorithm_image(region: str) -> str:
    """Where AWS keeps the built-in image classification for `region`. Raises ValueError."""
    sdk()
    from sagemaker.core import image_uris

    return str(image_uris.retrieve("image-classification", region=region))


def given(value: Any) -> Any:
    """None for what AWS did not say: the SDK has an object of its own for that."""
    return None if type(value).__name__ == "Unassigned" else value
