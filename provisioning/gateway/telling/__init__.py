"""What the gateway tells by itself: of jobs, the pod, its price and what is being installed."""
