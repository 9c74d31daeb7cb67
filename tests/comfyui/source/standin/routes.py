"""Every route, each served at its path and once more below /api."""

from . import routes_files, routes_information, routes_jobs, routes_prompts, routes_userdata

ROUTES = [
    *routes_prompts.ROUTES,
    *routes_files.ROUTES,
    *routes_information.ROUTES,
    *routes_jobs.ROUTES,
    *routes_userdata.ROUTES,
]
