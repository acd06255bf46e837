"""The commands that ask a service: `fallline jobs …`, `datasets …`, `predict`, `doctor` …

Data go to stdout and all else to stderr, so that what is printed can be piped.
"""
