"""Raw rows to and from files: `export` and `import`.

`streams/<name>/raw.py` says what a record of a stream is; here is how records get into files and out of them.
"""
