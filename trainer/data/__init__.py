"""Article–summary pairs: rows of files, splits of the Hub or of files, token ids, sampling, sentences, spelling.

Called by models of any kind, metrics, training and scoring; asks the Hub through trainer/hub.
"""
