"""The web server: the application, its live events, its page, and how it is served."""
