"""The study of rivals: every architecture trained alike, and compared by accuracy and cost."""
