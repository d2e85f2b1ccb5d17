"""Operating: health, metrics, the index of the API, and the files of the page."""

from statsd.site import front, health, page

ROUTES = [*health.ROUTES, *page.ROUTES, *front.ROUTES]
