"""Who somebody is, and how often a login may be tried."""
