"""A GitLab that speaks the v4 REST subset over real bare git repositories."""
