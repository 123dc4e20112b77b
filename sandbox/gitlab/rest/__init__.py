"""The v4 REST API: the subset that greenrun and python-gitlab use, with GitLab's shapes, codes and words."""

from sandbox.gitlab.rest import admin, commits, hooks, jobs, merge_requests, pipelines, projects, refs, repositories
from sandbox.gitlab.rest.asking import FORGE
from sandbox.gitlab.rest.entry import authentication, errors, throttle

__all__ = ["FORGE", "MIDDLEWARES", "ROUTES"]

MIDDLEWARES = (errors, throttle, authentication)
# The order counts: of two patterns that fit an address the first one answers.
ROUTES = (
    *projects.routes,
    *repositories.routes,
    *refs.routes,
    *commits.routes,
    *merge_requests.routes,
    *hooks.routes,
    *jobs.routes,
    *pipelines.routes,
    *admin.routes,
)
