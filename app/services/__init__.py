"""Verbs on the nouns: plain functions, session first. No HTTP, and no commit: callers own that."""
