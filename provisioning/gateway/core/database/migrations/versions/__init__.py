"""The revisions, `rNNNN_what.py`: each says which one it follows."""
