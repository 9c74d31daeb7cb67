"""What serverless endpoints and templates are made of."""
