"""The file store on the volume, which the gateway alone writes."""
