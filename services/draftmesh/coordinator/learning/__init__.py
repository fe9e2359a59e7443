"""What is learned from sessions: the kinds of traffic that are told apart, and estimates with the doubt in them."""
