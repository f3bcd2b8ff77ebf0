"""Hearts with known truth: simulated recordings for demonstration and tests. Imports recording, tasks and signal."""
