"""What stands in for the model: its tokens, what it is asked, what it says, and how a client gets that."""
