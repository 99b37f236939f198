"""What was accepted and decided by HTTP on its way into the log."""

from typing import Any, Final

from fraudsim import metrics
from fraudsim.log import headers as h
from fraudsim.log.events import Segment, Transaction, encoder
from fraudsim.log.topics import TRANSACTIONS
from stream_features.online.in_flight import InFlight

_PUBLISHED: Final = metrics.TRANSACTIONS.labels("http", "ok")


class Publishing:
    """Writes transactions with their decisions, and says where they stand to who counts what is pending."""

    def __init__(self, producer: Any, pending: InFlight, log: Any) -> None:
        self._producer = producer
        self._pending = pending
        self._log = log

    async def publish(self, tx: Transaction, segment: Segment, received_us: int, decision: bytes) -> None:
        """One record: the transaction, with its decision as JSON in a header, so the log has both or neither.

        It names the segment it was accepted by: what the clock says by now may be another, by which the
        judge of the log could come to another verdict.

        Raises:
            KafkaError: the log cannot be reached.
        """
        headers = [
            (h.SEGMENT, h.encode_int(segment.number)),
            (h.RECEIVED, h.encode_int(received_us // 1000)),
            (h.DECISION, decision),
        ]
        try:
            place = await self._producer.send_and_wait(
                TRANSACTIONS, value=encoder.encode(tx), key=tx.card_id.encode(), headers=headers
            )
        except BaseException as error:
            # If the log has it all the same, it comes by the tail, as any other's record does.
            self._pending.drop(tx)
            metrics.TRANSACTIONS.labels("http", "not_published").inc()
            self._log.error("http_not_published", tx_id=tx.tx_id, error=str(error))
            raise
        self._pending.acknowledge(tx, place.partition, place.offset)
        _PUBLISHED.inc()
