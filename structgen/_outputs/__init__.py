"""One output as it grows: free text up to a marker, the automaton after it, a budget of tokens over both.

Nothing here needs PyTorch: every runtime that a constraint is built into shares it.
"""
