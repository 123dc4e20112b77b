"""One module per error class that has a deterministic repair; all are pure."""
