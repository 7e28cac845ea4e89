"""What counts as proof: episodes, suites, statistics, recordings, reports and films."""
