"""Torch modules: encoders of one modality, ways of fusing them, and objectives.

May know tensors only: no cohort, no fold, no file, and no modality by name. Torch is imported by the modules of this
room, and this room is imported where a deep learner is asked for, so that everything else runs without it.
"""
