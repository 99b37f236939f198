"""`fraudsim bench scorer` (the trees), and scripts that measure batches, models and the policy of a scorer.

Imports `scorer`, `model`, `load_tests.rig` and `testing`.
"""
