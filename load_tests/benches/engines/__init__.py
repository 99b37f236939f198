"""`fraudsim bench engines`: one log folded by Faust workers and by Spark: throughput, CPU, freshness.

Imports `load_tests.benches.worker`, `load_tests.rig`, `producers`, `stream_features` and `testing.rigs`.
"""
