"""The feature worker on Spark Structured Streaming: the same acceptance, kernels and fence on many machines.

A driver (`worker`, `query`, `log_watch`) lets Spark cut the log into batches; executors (`executor_process`,
`slot_fold`) read, accept and fold them. Imports `fraudsim`, `stream_features.store` and, of the Faust worker,
what is free of I/O, its dead letters and its assignment. `session`, `query` and `worker` import PySpark.
"""
