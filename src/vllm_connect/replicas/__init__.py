"""Which replica a request goes to; pure, with clock and chance passed in."""
