"""Child processes: started, watched, restarted, and ended with their supervisor.

Imports `fraudsim`; `reaper` imports the standard library only.
"""
