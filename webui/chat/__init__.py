"""Chats: prompt templates, the history in SQLite, and the conversation that ties both to the runtime."""
