"""Bodies of requests: made-up transactions, or those of a file; each with an id of its own for fraudsim."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from fraudsim.errors import FraudsimError
from load_tests.load.generators.plan import LoadPlan

CARDS: Final = 5_000
MERCHANTS: Final = 1_000
VARIETY: Final = 20_000
"""Made-up transactions before they repeat under new ids."""
MAX_BODIES: Final = 200_000
OWN_FIELDS: Final = ("tx_id", "ts", "sent_at")
"""Fields that a file's transactions lose: their id must be new, and the run's clock stamps their time."""


def made_up_transaction(rng: random.Random) -> dict[str, Any]:
    """A plausible transaction without id and time."""
    return {
        "card_id": f"load-card-{rng.randrange(CARDS)}",
        "merchant_id": f"load-merchant-{int(rng.paretovariate(1.1)) % MERCHANTS}",
        "amount_cents": int(rng.lognormvariate(8.0, 1.0)),
        "currency": "EUR",
        "mcc": rng.choice([5411, 5541, 5812, 5999]),
        "channel": rng.choice(["pos", "ecommerce"]),
        "country": "DE",
    }


def read_bodies(path: str) -> list[bytes]:
    """The bodies of a file: one JSON value a line, or the whole file as one body.

    Raises:
        FraudsimError: the file cannot be read, or is empty.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise FraudsimError(f"--body {path}: {error.strerror}; name a file of one or more bodies") from None
    if not content.strip():
        raise FraudsimError(f"--body {path}: it is empty; it takes one body, or one JSON value a line")
    lines = [line for line in content.splitlines() if line.strip()]
    if len(lines) > 1 and all(_is_json(line) for line in lines[:100]):
        return lines[:MAX_BODIES]
    return [content.strip()]


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return False
    return True


class BodySupply:
    """The body of each request, by its number; the same number has the same body in every worker."""

    def __init__(self, plan: LoadPlan) -> None:
        """Raises FraudsimError: the plan's file holds no transactions, and the target is fraudsim."""
        self._prefix = f"load-{plan.run_id}-"
        self._batch = plan.batch
        self._fraudsim = plan.fraudsim
        if plan.bodies is not None:
            self._rests: Sequence[bytes] = read_bodies(plan.bodies)
            if plan.fraudsim:
                self._rests = [_rest(without_own_fields(body, plan.bodies)) for body in self._rests]
        elif plan.fraudsim:
            rng = random.Random(plan.seed)
            count = min(VARIETY, max(1, round(plan.rate * plan.seconds)))
            self._rests = [_rest(made_up_transaction(rng)) for _ in range(count)]
        else:
            self._rests = [b"{}"]

    def body(self, number: int) -> bytes:
        """The body of a request: a transaction, a batch of them, or a foreign target's."""
        if self._batch == 1:
            return self._one(number)
        first = number * self._batch
        items = b",".join(self._one(first + index) for index in range(self._batch))
        return b'{"transactions":[' + items + b"]}"

    def _one(self, number: int) -> bytes:
        rest = self._rests[number % len(self._rests)]
        if not self._fraudsim:
            return rest
        return b'{"tx_id":"%s%d",%s' % (self._prefix.encode(), number, rest)


def _rest(transaction: dict[str, Any]) -> bytes:
    """A transaction's JSON without its opening brace."""
    return msgspec.json.encode(transaction)[1:]


def without_own_fields(body: bytes, path: str) -> dict[str, Any]:
    """The transaction of a body, without the fields that are its own.

    Raises:
        FraudsimError: it is no JSON object, or holds nothing else.
    """
    try:
        transaction = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise FraudsimError(
            f"--body {path}: fraudsim takes one transaction a line as a JSON object: {error}"
        ) from None
    fields = {name: value for name, value in transaction.items() if name not in OWN_FIELDS}
    if not fields:
        raise FraudsimError(f"--body {path}: a line holds no field besides {', '.join(OWN_FIELDS)}")
    return fields
