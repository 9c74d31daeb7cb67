"""Pages for people: the guide, the reference and the error catalogue, made here and whole without scripts."""
