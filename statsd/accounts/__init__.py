"""Accounts: registration, login and logout, and how often a login may be tried."""
