"""The local stack behind `make run`: real parts on loopback. Never packaged."""
