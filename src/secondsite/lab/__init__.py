"""Two datacenters on one machine: real Debian hosts, real wires, and faults brought about from outside."""
