"""Bodies of requests and responses, where lines say them."""
