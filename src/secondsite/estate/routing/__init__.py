"""Who talks routing with whom: what follows from the declared links, for each router and each tunnel."""
