"""`fraudsim bench soak` and `bench catch-up`: a feature worker under load for a long time.

Imports `producers`, `runner`, `stream_features` and `load_tests.rig`.
"""
