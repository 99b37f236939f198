"""The feature worker, told to gather cards only: for `bench features`, beside rivals that know one key."""

from fraudsim.log.events import Transaction
from fraudsim.settings import load_settings
from stream_features.worker import slot_states
from stream_features.worker.app import run_worker


def card_of(tx: Transaction) -> tuple[str, None, None, None]:
    """The one key that is folded."""
    return tx.card_id, None, None, None


if __name__ == "__main__":
    slot_states.key_values = card_of  # type: ignore[attr-defined, assignment]
    run_worker(load_settings())
