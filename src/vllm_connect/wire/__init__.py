"""HTTP/1.1 and server-sent events over our own sockets: decisions without I/O, a blocking and an asyncio shell."""
