"""HTTP around every handler: requests, answers, origins, and a response for every error."""
