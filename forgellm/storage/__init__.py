"""The only code that knows paths and file formats."""
