"""HTTP on the wire: requests in, answers out."""
