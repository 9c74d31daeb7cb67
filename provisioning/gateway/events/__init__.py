"""Event streams: channels, subscriptions, server-sent events and WebSockets."""
