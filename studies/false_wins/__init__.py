"""Study: anytime-valid intervals on losses of whole cards: false wins of equal arms, power on a planted lift.

Imports `studies.frame` and the rooms below.
"""
