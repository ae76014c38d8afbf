"""Training: the loop, checkpoints, the folder of a run, progress on the terminal.

The modules are imported one by one, since only some of them need torch.
"""
