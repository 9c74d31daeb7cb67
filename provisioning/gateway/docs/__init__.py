"""The API reference: the OpenAPI 3.1 document and the views for its pages."""
