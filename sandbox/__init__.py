"""Stand-ins for what lies outside greenrun: a GitLab, a registry, an upstream."""
