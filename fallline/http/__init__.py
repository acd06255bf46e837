"""Requests, answers, streams, retries."""
