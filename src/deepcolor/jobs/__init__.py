"""Many photographs at once: names planned, pictures read, coloured and written; no command line."""
