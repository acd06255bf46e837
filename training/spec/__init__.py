"""The job specification, and the plan that follows from it. Imports no torch."""
