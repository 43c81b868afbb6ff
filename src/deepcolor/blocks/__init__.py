"""Parts that several networks share. Networks here know no Lightning."""
