"""Why a summary says what it says: scores for the pieces of an article, and their folding into words.

`base` reads an article the way the model does, `matrix` has integrated gradients for all summary tokens (over
`passes`, `encoder` and `quadrature`), `registry` every method by name, `sources` what stands behind a word, `proof` and
`faithfulness` whether scores say what the model does, `folding` turns pieces back into the text that was pasted.
"""
