"""Learner: keeps what passed, so that the next repository of that kind starts from it."""
