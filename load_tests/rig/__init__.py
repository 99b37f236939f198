"""What several benchmarks share: cores, CPU and memory of processes, HTTP load, a primed world.

Imports the product's rooms, never `load_tests.benches`.
"""
