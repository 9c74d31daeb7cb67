"""The RunPod account: inventory, ownership, deletion, and login to a pod."""
