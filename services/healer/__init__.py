"""Healer: finds why a pipeline failed and repairs what a pipeline can repair."""
