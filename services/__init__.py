"""The nine services and the gateway in front of them; each is its own process."""
