"""`fraudsim bench features` and `bench reader`: folding a log into features, and reading them.

Imports `load_tests.rig`; runs the rivals as processes.
"""
