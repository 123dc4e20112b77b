"""What is known of versions, distributions, libraries and tools, as data."""
