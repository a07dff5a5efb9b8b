"""Where counting begins anew: epoch starts that a change of rules, or a loss for good, sets on an empty group."""
