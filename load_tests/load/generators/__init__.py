"""What sends a schedule over HTTP, inside Locust.

Locust patches the standard library for gevent when it is imported. So these modules, which its file imports,
import nothing of asyncio, uvloop or Kafka.
"""
