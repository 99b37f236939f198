"""What every room shares: events, topics, settings, clock, metric names and the console script.

Imports no other room.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("fraudsim")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0+unknown"
