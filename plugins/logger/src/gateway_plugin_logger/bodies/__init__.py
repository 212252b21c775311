"""Bodies of requests and answers, for those who ask for them."""
