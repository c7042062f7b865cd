"""The machines that work together, and what they exchange."""
