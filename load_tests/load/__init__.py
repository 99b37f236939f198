"""Load tests whose latency can be trusted: one schedule, three clocks, a verdict that can be refused.

`arrivals` makes the schedule, `generators` send it (Locust over HTTP, the producer's sender into Kafka),
`clocks` keep what became of each request, `verdict` says whether that can be believed and whether it meets an
objective. `capacity` and `compare` repeat runs; `autopsy`, `bill` and `report` explain one.
"""
