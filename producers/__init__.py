"""Sources of events: the synthetic world, public files, scripts, and the processes that send them.

Imports `fraudsim`; no feature, model or scorer.
"""
