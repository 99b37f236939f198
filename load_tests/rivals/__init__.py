"""Programs that benchmarks run beside ours, each in a process of its own.

One module per program; each is started as a module and imports no other program. Those that run in another
.venv import only what is installed there.
"""
