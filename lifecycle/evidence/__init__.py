"""What a look at an experiment says: tallies by card, intervals, guards, net loss, the sample ratio.

Pure. Imports no other package of the room.
"""
