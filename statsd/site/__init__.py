"""The program's own addresses: the page, its front door, the documentation, and what operators ask."""

from statsd.site import front, health, page

ROUTES = [*health.ROUTES, *page.ROUTES, *front.ROUTES]
