"""The one door to the Hugging Face Hub: fetching, rights, one atomic commit; patience, and errors in sentences.

Called by whatever fetches or publishes; imports no other room but `runtime`.
"""
