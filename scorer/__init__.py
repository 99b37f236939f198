"""The online decision: one code path for the stream and for HTTP."""
