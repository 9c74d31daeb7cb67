"""Sessions of people who logged in, their tokens, cookies and tickets."""
