"""Who somebody is, and how often that may be tried."""
