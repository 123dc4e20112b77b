"""Analyzer: says what a repository is, from its file names and manifests alone."""
