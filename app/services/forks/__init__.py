"""Retries and forks: new jobs that go on where another one was."""
