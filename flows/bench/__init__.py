"""`make bench`: how fast, side by side in one run, since a ratio holds on any machine and a time does not. Never a test."""
