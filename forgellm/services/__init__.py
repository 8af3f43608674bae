"""Use cases, free of HTTP and of the command line: start, watch and publish runs, examine the system."""
