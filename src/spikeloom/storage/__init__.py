"""Files that are the old one or the new one, and checkpoints that are verified before anything in them is used."""
