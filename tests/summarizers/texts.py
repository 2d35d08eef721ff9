"""What the small models of these tests summarise."""

ARTICLES = [
    "The harbour was closed on Monday. Nobody was hurt.",
    "Rain.",
    "A storm tore the roof off the fish market and two boats sank before the crews could reach them. " * 9,
    "The mayor asked the government for help, and said that the repairs would take until spring.",
]

BEAMS = {"num_beams": 3, "max_new_tokens": 15, "no_repeat_ngram_size": 1}
