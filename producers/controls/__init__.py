"""Controls of a running line: records of `run.control`, and what they make of its stream.

Imports `fraudsim`, `producers.scenario` and the packages below it. A control is a request of somebody; every
process that generates or counts follows the topic, so what follows from it follows from the log.
"""
