"""A split of three pairs."""

from trainer.data.splits import Example, Split

SPLIT = Split(
    name="test",
    dataset="user/news",
    revision="0" * 40,
    examples=[
        Example("a", "The cat sat. A dog ran off.", "The cat sat."),
        Example("b", "Rain fell all day. Nobody went out.", "Nobody went out."),
        Example("c", "Prices rose. Wages did not.", "Prices and wages rose."),
    ],
)
