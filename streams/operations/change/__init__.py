"""New epoch starts: after a change of rules, an accepted loss or a replaced topic. They need an empty group."""
