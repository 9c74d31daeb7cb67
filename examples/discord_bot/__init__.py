"""The backend of a Discord bot that draws: prompts in, pictures out, and nothing lost when anything is restarted."""
