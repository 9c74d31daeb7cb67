"""The gateway's description of itself: OpenAPI 3.1 from the route table, the operations' tables and pydantic models."""
