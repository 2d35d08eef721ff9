"""Getting a model: fetched, loaded or built anew, its task remembered; vocabulary, initialisation, beam search's cache.

Called by summarizers, metrics, training, pre-training and the demo.
"""
