"""Two targets loaded in turns, or two commits: what differs beyond what chance makes differ."""
