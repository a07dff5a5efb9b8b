"""The operations of an operator on existing counts: change of rules, accepted loss, replaced topic, repair, replay."""
