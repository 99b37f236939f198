"""A Redis client for a command, and the wait of a part for its Redis: away is one line, at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError

from fraudsim.addresses import mask_password
from fraudsim.errors import FraudsimError
from fraudsim.polling import poll_until
from fraudsim.settings import Settings, variable

TIMEOUT_S: Final = 3.0
"""To connect, and for the reply to the first command."""
WAIT_S: Final = 60.0
"""A part waits so long at its start for a Redis that is away."""


def check_answers(settings: Settings) -> None:
    """Raises:
    FraudsimError: Redis does not answer, or refuses the password.
    """
    problem = problem_of(settings.redis_url)
    if problem is not None:
        raise _away(settings, problem)


@contextmanager
def open_redis(settings: Settings) -> Iterator[Any]:
    """A `redis.Redis` that answers. Raises FraudsimError as `check_answers`."""
    check_answers(settings)
    with Redis.from_url(settings.redis_url) as client:
        yield client


def await_redis(settings: Settings, log: Any) -> None:
    """Return when Redis answers; that it is waited for is logged at once.

    Raises:
        FraudsimError: it does not within `WAIT_S`.
    """
    problem = problem_of(settings.redis_url)
    if problem is None:
        return
    log.warning("waiting_for_redis", url=mask_password(settings.redis_url), reason=problem, longest_s=WAIT_S)

    def answers() -> bool:
        nonlocal problem
        problem = problem_of(settings.redis_url)
        return problem is None

    if not poll_until(answers, WAIT_S, every_s=0.5):
        raise _away(settings, str(problem))


def problem_of(url: str) -> str | None:
    """Why Redis does not answer at an address; None if it does."""
    try:
        with Redis.from_url(url, socket_connect_timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S) as client:
            client.ping()
    except (RedisError, OSError, ValueError) as error:  # ValueError: no URL of a Redis
        return " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return None


def _away(settings: Settings, problem: str) -> FraudsimError:
    return FraudsimError(
        f"setting {variable('redis_url')}={mask_password(settings.redis_url)}: no Redis answers there "
        f"({problem}); start a line with `fraudsim up`, or a stack with `fraudsim stack up`, or name one"
    )
