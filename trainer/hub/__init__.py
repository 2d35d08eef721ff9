"""The door to the Hugging Face Hub: errors in sentences, patience, rights, one atomic commit.

Called by whatever fetches or publishes; imports no other room.
"""
