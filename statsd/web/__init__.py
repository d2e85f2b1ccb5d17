"""HTTP around every handler: what is asked, answered and allowed, and what an error becomes."""
