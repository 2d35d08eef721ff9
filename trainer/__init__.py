"""How a summariser is made, measured and explained. Knows nothing of Gradio."""
