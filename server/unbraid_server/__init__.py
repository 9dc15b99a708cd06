"""The gRPC server: transport, runtime and state store."""
