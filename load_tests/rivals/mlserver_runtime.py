"""MLServer with a custom runtime that reads features; the transaction is JSON in a BYTES tensor."""

from pathlib import Path

from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse

from fraudsim.log.events import decode_transaction
from load_tests.rivals.scoring_setup import open_reader, read_setup
from model.forest.forest import booster_of
from stream_features.store.connection import RedisClient

SETUP = read_setup()


class FraudModel(MLModel):
    """Reads a transaction's features and scores them."""

    async def load(self) -> bool:
        self._reader = open_reader(RedisClient.with_long_timeouts(SETUP.redis_url), SETUP.segment)
        self._booster = booster_of(Path(SETUP.xgboost_model).read_bytes())
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        (text,) = StringCodec.decode_input(payload.inputs[0])
        (reading,) = await self._reader.read([decode_transaction(text.encode())])
        scores = self._booster.inplace_predict(reading.features.reshape(1, -1))
        return InferenceResponse(
            model_name=self.name, outputs=[NumpyCodec.encode_output(name="score", payload=scores)]
        )
