"""What a run's own process executes, and who starts it."""
