"""`fraudsim bench stream`: the scorer from Kafka to Kafka beside other stream scorers.

Imports `load_tests.rig` and `load_tests.rivals.scoring_setup`; runs the contestants as processes.
"""
