"""The GitLab CI document and the Dockerfile, as pure functions over text."""
