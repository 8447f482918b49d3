"""Over the cable: which ports there are, what hangs on one, and flashing that with esptool."""
