"""Web pages: the guide, the reference, the error catalogue and the login form, without scripts."""
