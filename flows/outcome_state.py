"""What the UI says of a run at its end: the outcome in words, and of a bad end the reason."""

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from prefect.states import Completed, Failed

from backends.errors import EdgewardError, GateRefusedError

REFUSED = "Refused"


def ends_saying[**P, R](
    words: Callable[[R], str],
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """For a flow's function: `words` of its result, or its error, go into the run's last state.

    A run that a gate refused ends in a state of its own name, of Prefect's type FAILED. Whoever
    calls the flow gets the result, or the error raised, all the same.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def call(*arguments: P.args, **options: P.kwargs) -> R:
            state: Any
            try:
                result = function(*arguments, **options)
                state = Completed(message=words(result), data=result)
            except GateRefusedError as error:
                state = Failed(name=REFUSED, message=str(error), data=error)
            except EdgewardError as error:
                state = Failed(message=str(error), data=error)
            return cast("R", state)

        return call

    return decorate
