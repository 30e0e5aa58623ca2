"""The sites, hosts, links and workloads of one organisation, as a model."""
