"""gRPC at the edge: servers, channels, interceptors, status mapping, and the codec between protobuf and core values."""
