"""Hints that a job has changed, through Redis: sent on commit, heard by the API processes.

A hint may be lost, and none is sent while Redis is away: whoever hears one reads the database, and
reads it now and then without one. See docs/adr/0016-hints.md.
"""
