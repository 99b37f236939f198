"""What sends a schedule: senders inside Locust over HTTP, the producer's sender into Kafka, each in a process.

Locust patches the standard library for gevent when it is imported. What its file imports (`plan`, `bodies`,
`timer`, `dispatcher`, `hub_probe`, `outcome`, `locust_user`, `locust_run`) imports nothing of asyncio, uvloop or Kafka.
"""
