"""The feature worker folding cards only, for `bench features`: its rivals know one key."""

from fraudsim.log.events import Transaction
from fraudsim.settings import load_settings
from stream_features.worker import slot_states
from stream_features.worker.app import run_worker


def card_key(tx: Transaction) -> tuple[str, None, None, None]:
    """The card's key alone, in place of `key_values`."""
    return tx.card_id, None, None, None


if __name__ == "__main__":
    slot_states.key_values = card_key  # type: ignore[attr-defined, assignment]
    run_worker(load_settings())
