"""Committer: puts the files on a branch, exactly once."""
