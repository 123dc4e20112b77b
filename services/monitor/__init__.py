"""Monitor: follows the pipeline to its end, and says whether it is green."""
