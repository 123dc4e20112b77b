"""What every service shares: the facts, the log, and the adapters to the outside."""
