"""Network volumes: data loss, sharing, and the tag for unused volumes."""
