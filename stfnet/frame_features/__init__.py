"""Features of every frame of a record set, for people who want them and not the network."""
