"""Models: fetched in parallel, resumed, checked before they get their name, kept once per volume."""
