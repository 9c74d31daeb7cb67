"""The file store on the volume, which only the gateway writes."""
