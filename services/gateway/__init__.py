"""Gateway: the HTTP API in front of the log."""
