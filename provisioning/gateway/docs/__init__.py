"""The API reference: OpenAPI 3.1 and its pages."""
