"""`fraudsim bench http`: the scorer's HTTP path beside other model servers.

Imports `load_tests.rig` and `load_tests.rivals.scoring_setup`; runs the servers as processes.
"""
