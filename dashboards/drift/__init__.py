"""Drift: what has changed in features, scores, labels and the feed, with alarms that keep a promise. Pure.

`monitor` is the live line's view of the last decisions; the other modules compare whole weeks of event time.
"""
