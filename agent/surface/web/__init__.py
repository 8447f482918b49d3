"""The ingress server: REST, server-sent events and the page."""
