"""How people and Home Assistant see the agent."""
