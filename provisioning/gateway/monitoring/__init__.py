"""What a monitor reads: counts of requests, the queue's and the GPU's state, and what it all costs."""
