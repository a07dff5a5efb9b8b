"""Where counting begins anew: boundaries that a change of rules, or a loss for good, sets on an empty group."""
