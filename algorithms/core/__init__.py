"""What every algorithm shares: settings, networks, collection, critics, the iteration, and the run folder."""
