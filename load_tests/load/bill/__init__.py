"""What a rate costs: CPU and memory by process at measured rates, and what other rates would take."""
