"""Study: how many decisions are degraded by load and deadline, and what degraded decisions let through.

The first half is live, since a fast-forward has no wall time; the second is twin runs.
"""
