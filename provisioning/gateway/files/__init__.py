"""The store of uploads and outputs on the volume: what survives a stop of the pod."""
