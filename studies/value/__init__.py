"""Study: what a real-time line is worth beside a batch job: money saved against footprints."""
