"""The provider process: the gRPC server, the provider, the engine log and the parent watch."""
