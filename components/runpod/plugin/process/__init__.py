"""The provider process: the gRPC server, the provider behind it, and what ties it to its engine."""
