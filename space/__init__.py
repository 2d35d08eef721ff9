"""How a summariser is shown: the Gradio demo and its Hugging Face Space."""
