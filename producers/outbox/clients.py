"""The choice of the Kafka client that sends, by the setting `sender`."""

from collections.abc import Sequence

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings, variable
from producers.outbox.outbox import DELIVERY_TIMEOUT_MS, MAX_OUTSTANDING, Outbox


def open_outbox(
    settings: Settings,
    topics: Sequence[str],
    *,
    max_outstanding: int = MAX_OUTSTANDING,
    delivery_timeout_ms: int = DELIVERY_TIMEOUT_MS,
) -> Outbox:
    """Connect the outbox that the settings name, and fetch the metadata of `topics`.

    Raises:
        FraudsimError: the client's package is not installed.
    """
    if settings.sender == "confluent":
        try:
            from producers.outbox.confluent_outbox import ConfluentOutbox
        except ModuleNotFoundError as error:
            raise FraudsimError(
                f"setting {variable('sender')}=confluent needs {error.name}: pip install 'fraudsim[load]'"
            ) from None
        return ConfluentOutbox(settings, topics, max_outstanding, delivery_timeout_ms)
    from producers.outbox.kafka_python_outbox import KafkaPythonOutbox

    return KafkaPythonOutbox(settings, topics, max_outstanding, delivery_timeout_ms)
