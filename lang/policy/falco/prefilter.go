package falco

// predicate returns a predicate that is true of all events for which a rule may be.
func predicate(w *Watched) string { return "" }
