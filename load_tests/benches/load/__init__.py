"""`fraudsim bench load`: the figures of `fraudsim load` on this machine, by one command.

Imports `load_tests.load`; everything else runs as processes of their own.
"""
