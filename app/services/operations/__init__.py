"""What operators watch: workers, counters, gauges."""
