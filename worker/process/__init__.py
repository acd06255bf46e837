"""What one worker process works with."""
