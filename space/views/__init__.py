"""What the page shows: one file a part, each a layout and pure functions from values to components'
values."""
