"""What the RunPod account holds: inventory, ownership, deletion, and the login to a pod."""
