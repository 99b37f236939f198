"""Child processes: started, watched, restarted, and ended with their supervisor.

Imports `fraudsim` and `runner.disk`; `reaper` imports the standard library only.
"""
