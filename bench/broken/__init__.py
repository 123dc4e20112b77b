"""Good pipelines broken in known ways, and a small world in which they fail and pass for the reason that they name."""
