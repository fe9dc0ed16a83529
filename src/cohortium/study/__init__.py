"""The study file and the verbs on it. The only room that knows all rooms and reads YAML."""
