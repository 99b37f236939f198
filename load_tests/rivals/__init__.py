"""Programs that benchmarks run beside ours, each in a process of its own."""
