"""Sessions of people who logged in, with their tokens and cookies; and tickets."""
