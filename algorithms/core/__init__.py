"""What every algorithm shares: settings, networks, collection, critics and the iteration."""
