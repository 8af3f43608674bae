"""Files that are not plain text to Markdown: one module a format, run in a process that can be bounded."""
