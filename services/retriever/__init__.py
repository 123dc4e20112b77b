"""Retriever: finds the template that fits the repository, or says that there is none."""
