"""`fraudsim bench world` and `bench sender`: generating a history, and sending a live stream.

Imports `producers`, `runner.stack` and `load_tests.rig`.
"""
