"""ESPHome's upload over the air: a protocol without a network, and a small driver around it."""
