"""Study: how far an A/B test between cards is from what all cards would see, and why.

Imports `studies.frame` and the rooms below.
"""
