"""Texts that encoders and classifiers are tried on."""

TEXTS = [
    "The harbour was closed on Monday.",
    "Rain.",
    "A storm tore the roof off the fish market and two boats sank before the crews could reach them.",
    "",
    "The mayor asked the government for help, and said that the repairs would take until spring. " * 12,
]

OTHERS = ["On Monday the harbour was shut.", "Rain.", "Two boats sank in a storm.", "Nobody.", "Repairs take time."]
