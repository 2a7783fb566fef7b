package probes

// selfSignals lists the signals to gotrace that run probes.
var selfSignals = []string{"SIGUSR1"}

func selfKind() *Kind {
	k := runByUs(&Kind{
		Name:   "self",
		Manual: Manual{Syntax: "self:signal:SIGUSR1", Doc: "Runs when this process gets the signal."},
		Traits: Traits{Runs: OnSignal},
	})
	k.Parse = func(_ *Env, parts []string) (*Point, error) {
		if err := argCount(k, parts, 2); err != nil {
			return nil, err
		}
		if parts[1] != "signal" {
			return nil, usage("%s is not a supported trigger: only signal is", parts[1])
		}
		for _, s := range selfSignals {
			if s == parts[2] {
				return &Point{Kind: k, Name: "self:signal:" + s, Target: "signal", Func: s}, nil
			}
		}
		return nil, usage("%s is not a supported signal: only SIGUSR1 is", parts[2])
	}
	k.List = func(_ *Env, parts []string, yield func(string) bool) error {
		for _, s := range selfSignals {
			if listed(parts[1:], "signal", s) && !yield("self:signal:"+s) {
				break
			}
		}
		return nil
	}
	return k
}
