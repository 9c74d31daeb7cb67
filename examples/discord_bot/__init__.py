"""The backend of a Discord bot that generates images from prompts and loses no order in a restart."""
