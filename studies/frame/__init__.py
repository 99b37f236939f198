"""The frame of studies that consist of cells: an arm under a condition in the world of a seed.

Runs cells in processes, keeps each under the fingerprint of code, settings and data, goes on where it
stopped, adds seeds until intervals are narrow, and writes the page; docs/studies.md says how a study
is written on it.
"""
