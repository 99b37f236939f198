"""Publishes the transactions that HTTP decided to the log."""

from typing import Any, Final

from fraudsim import metrics
from fraudsim.log import headers as h
from fraudsim.log.events import Segment, Transaction, encoder
from fraudsim.log.topics import TRANSACTIONS
from stream_features.online.in_flight import InFlight

_PUBLISHED: Final = metrics.TRANSACTIONS.labels("http", "ok")


class HttpPublisher:
    """Sends transactions with their decisions, and reports their offsets to the in-flight set."""

    def __init__(self, producer: Any, in_flight: InFlight, log: Any) -> None:
        self._producer = producer
        self._in_flight = in_flight
        self._log = log

    async def publish(self, tx: Transaction, segment: Segment, received_us: int, decision: bytes) -> None:
        """Send one record: the transaction, its decision as JSON in a header, so the log has both or neither.

        The record names the segment that accepted it: the clock may be in another by now, under which the
        log's acceptance could differ.

        Raises:
            KafkaError: the log cannot be reached.
        """
        headers = [
            (h.SEGMENT, h.encode_int(segment.number)),
            (h.RECEIVED, h.encode_int(received_us // 1000)),
            (h.DECISION, decision),
        ]
        try:
            metadata = await self._producer.send_and_wait(
                TRANSACTIONS, value=encoder.encode(tx), key=tx.card_id.encode(), headers=headers
            )
        except BaseException as error:
            # If the log has it nevertheless, it is read back as any other record.
            self._in_flight.drop(tx)
            metrics.TRANSACTIONS.labels("http", "not_published").inc()
            self._log.error("http_not_published", tx_id=tx.tx_id, error=str(error))
            raise
        self._in_flight.acknowledge(tx, metadata.partition, metadata.offset)
        _PUBLISHED.inc()
