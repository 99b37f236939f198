"""A simulated run on disk: the archived log as a run's archiver writes it.

Imports `simulator.line`, `fraudsim.archive` and `scorer`.
"""
