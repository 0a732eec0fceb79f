"""Policy packs of any language as judges of deployments: in this process, or in one of their own over gRPC."""
