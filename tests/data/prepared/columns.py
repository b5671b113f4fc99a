"""The columns of the histories that tests prepare; for a child process that needs no more."""

COLUMNS = {"user": "who", "item": "what", "timestamp": "when", "plays": "count"}
