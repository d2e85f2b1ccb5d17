"""What one can run: a file for each command, with its arguments and its deed."""
