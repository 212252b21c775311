"""Where counters are kept: in this process, in memory that the workers of a machine share, or on a Redis server."""
