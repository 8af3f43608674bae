"""The invented world behind the sample data: its facts, its wordings and its documents."""
