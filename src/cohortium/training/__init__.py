"""The one loop that trains every deep model.

May know tensors, a module and an objective; nothing of modalities, folds or files. Privacy is to be a step of it,
federation a schedule around it.
"""
