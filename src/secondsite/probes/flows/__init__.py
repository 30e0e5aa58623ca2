"""Every declared flow, and every other pair of hosts and ports, tried from real hosts."""
