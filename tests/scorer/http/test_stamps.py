"""The stamps of a request before it is decided: no stage of an answer is left out."""

import asyncio

from scorer.decide import now_us
from testing.rigs.http_rig import HttpRig, score_body


def test_a_request_bears_when_it_came_and_when_its_micro_batch_was_taken_up():
    async def scene():
        rig = HttpRig()
        before_us = now_us()
        await asyncio.gather(rig.score("t0"), rig.score("t1"))
        (batch, _) = await asyncio.gather(
            rig.score_batch([score_body("t2"), score_body("t3")]), rig.score("t4")
        )
        assert batch is not None
        await rig.scoring.drain()
        assert sorted(item.tx.tx_id for item in rig.incoming) == ["t0", "t1", "t2", "t3", "t4"]
        for item in rig.incoming:
            assert before_us <= item.received_us <= item.dequeued_us <= now_us()
            assert item.appended_us == 0

    asyncio.run(scene())
