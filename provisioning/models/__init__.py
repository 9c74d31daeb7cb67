"""Models: parallel and resumable downloads, verification, and one copy per content on the volume."""
