"""Why a summary says what it says: scores for the pieces of an article, and their folding into words.

`base` reads an article the way the model does and holds what every method returns, `gradients` has the
methods that differentiate, `folding` turns pieces back into the text that was pasted.
"""
