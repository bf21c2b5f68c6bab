"""Request bodies: their fields and rules as tables, and what is said of a wrong one."""
