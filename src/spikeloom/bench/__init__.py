"""Speed beside peers and physical floors, each contender in a process of its own, equal results checked first."""
