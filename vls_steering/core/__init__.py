"""Small frozen types that every room shares; imports nothing of the project."""
