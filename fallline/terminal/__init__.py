"""What the command line draws and prints."""
