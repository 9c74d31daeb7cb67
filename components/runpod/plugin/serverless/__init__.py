"""Container settings and specifications of serverless endpoints and templates."""
