"""Programs that `bench features` runs beside the worker, each in a process of its own."""
