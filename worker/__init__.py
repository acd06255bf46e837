"""Claims jobs, drives the engine, records what it yields."""
