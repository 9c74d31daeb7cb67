"""The rules: each a pure function from what is declared to what is wrong with it, and its policy."""
