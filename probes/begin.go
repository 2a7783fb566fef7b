package probes

// edge returns the kind begin or end, whose probes run once at the beginning or the end
// of the session.
func edge(name string, runs Moment, doc string, aliases ...string) *Kind {
	k := runByUs(&Kind{Name: name, Aliases: aliases, Manual: Manual{Syntax: name, Doc: doc}, Traits: Traits{Class: "special", Outermost: true, Runs: runs}})
	k.Parse = func(_ *Env, parts []string) (*Point, error) {
		if err := argCount(k, parts, 0); err != nil {
			return nil, err
		}
		return &Point{Kind: k, Name: name}, nil
	}
	k.List = func(_ *Env, parts []string, yield func(string) bool) error {
		if len(parts) <= 1 {
			yield(name)
		}
		return nil
	}
	return k
}

func beginKind() *Kind {
	return edge("begin", AtBegin, "Runs once, before any other probe is attached.", "BEGIN")
}

func endKind() *Kind {
	return edge("end", AtEnd, "Runs once, after all other probes are detached.", "END")
}
