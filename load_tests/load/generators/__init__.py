"""What sends a schedule: senders inside Locust over HTTP, the producer's sender into Kafka.

Locust patches the standard library for gevent when it is imported. So what its file imports, which is all but
the modules named `stream_…`, imports nothing of asyncio, uvloop or Kafka.
"""
