"""How an environment is declared: components over the RunPod resources."""
