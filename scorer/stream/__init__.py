"""The stream scorer: group membership, batches, the loop that decides, and where it resumes.

Imports `fraudsim`, `stream_features.online`, `scorer.decide` and `scorer.observe`; Kafka, no HTTP.
"""
