"""What requests and answers look like, as pydantic models; the fields' descriptions are the reference's words."""
