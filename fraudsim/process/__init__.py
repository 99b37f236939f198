"""What a long-lived process sets up at its start: logs, garbage collection, signals; errors of its disk.

Imports `fraudsim.settings` and `fraudsim.errors` only.
"""
