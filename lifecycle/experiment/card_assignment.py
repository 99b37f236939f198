"""Which cards are B's: those of the first buckets of a hash, so that a card stays in B as B's share grows."""

from model.registry.aliases import BUCKETS, bucket_of


class CardAssignment:
    """The cards of a share; the hash of a card is worked out once.

    >>> cards = [f"c{number}" for number in range(2_000)]
    >>> assignment = CardAssignment("salt")
    >>> assignment.change_share(0.05)
    >>> few = {card for card in cards if assignment.is_challenged(card)}
    >>> assignment.change_share(0.25)
    >>> few < {card for card in cards if assignment.is_challenged(card)}
    True
    """

    def __init__(self, salt: str) -> None:
        self._salt = salt
        self._end = 0
        self._buckets: dict[str, int] = {}

    def change_share(self, share: float) -> None:
        """Give B another share of the cards, in steps of 1/10,000."""
        self._end = round(share * BUCKETS)

    @property
    def share(self) -> float:
        """B's share of the cards."""
        return self._end / BUCKETS

    def is_challenged(self, card_id: str) -> bool:
        """Whether a card is B's now."""
        bucket = self._buckets.get(card_id)
        if bucket is None:
            bucket = self._buckets[card_id] = bucket_of(card_id, self._salt)
        return bucket < self._end
