"""Sources of a live stream: the interface, the world, a fixed rate, and wrappers around another source.

Imports `fraudsim` and the packages of the world and its history; no Kafka, no Redis.
"""
