"""Benchmarks beside rivals (`benches`, `rivals`), their shared rig (`rig`), and a Locust file.

Imports every room below it, `runner` and `testing`.
"""
