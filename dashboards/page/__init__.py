"""The live page: a line as it works, in the browser. Reads the log and the parts' metrics as anybody would.

`counts` is pure; `log_feed` and `part_metrics` read; `figures`, `snapshot`, `document` and `diagram` say what
is shown; `broadcast`, `guard`, `app` and `process` serve. Nobody notices when it stops.
"""
