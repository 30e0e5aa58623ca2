"""The customers' shop: sign-in, orders and bills over HTTPS."""
