package probes

// named returns the kind test or bench, whose probes have a name and run one by one.
func named(name string, runs Moment, doc string) *Kind {
	k := runByUs(&Kind{Name: name, Manual: Manual{Syntax: name + ":name", Doc: doc}, Traits: Traits{Runs: runs}, Attacher: Attacher{Unique: true}})
	k.Parse = func(_ *Env, parts []string) (*Point, error) {
		if err := argCount(k, parts, 1); err != nil {
			return nil, err
		}
		if parts[1] == "" {
			return nil, usage("%s needs a name: write %s", name, k.Syntax)
		}
		if err := noWildcards(k, parts); err != nil {
			return nil, err
		}
		return &Point{Kind: k, Name: name + ":" + parts[1], Func: parts[1]}, nil
	}
	return k
}

func testKind() *Kind {
	return named("test", AsTest, "A test of the script itself, run with --test: returning anything but 0 fails it.")
}

func benchKind() *Kind {
	return named("bench", AsBench, "A block to measure, run with --bench.")
}
