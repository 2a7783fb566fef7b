package probes

import "github.com/cilium/ebpf"

// The probes that the runtime fires itself: begin, end, self, test and bench.
// Their programs are raw tracepoint programs run through BPF_PROG_TEST_RUN,
// which 5.10 can do and which have all tracing helpers.

func internalContext(k *Kind) func(*Env, *Point) (*Context, error) {
	return func(*Env, *Point) (*Context, error) {
		return &Context{Kind: k, Prog: ebpf.RawTracepoint, Shape: "internal", BareShape: "internal", InTask: true, Stacks: true}, nil
	}
}

func plain(name, doc string, aliases ...string) *Kind {
	k := &Kind{Name: name, Aliases: aliases, Syntax: name, Doc: doc, Outermost: true, Confine: NotAsked}
	k.Parse = func(_ *Env, parts []string) (*Point, error) {
		if err := argCount(k, parts, 0); err != nil {
			return nil, err
		}
		return &Point{Kind: k, Name: name}, nil
	}
	k.Expand = expandSelf
	k.Context = internalContext(k)
	k.List = func(_ *Env, parts []string, yield func(string) bool) error {
		if len(parts) <= 1 {
			yield(name)
		}
		return nil
	}
	return k
}

func beginKind() *Kind {
	return plain("begin", "Runs once, before any other probe is attached.", "BEGIN")
}

func endKind() *Kind {
	return plain("end", "Runs once, after all other probes are detached.", "END")
}

// selfSignals are the signals to ourselves that a script can wait for.
var selfSignals = []string{"SIGUSR1"}

func selfKind() *Kind {
	k := &Kind{Name: "self", Confine: NotAsked, Syntax: "self:signal:SIGUSR1", Doc: "Runs when this process gets the signal."}
	k.Parse = func(_ *Env, parts []string) (*Point, error) {
		if err := argCount(k, parts, 2); err != nil {
			return nil, err
		}
		if parts[1] != "signal" {
			return nil, usage("%s is not an event of self: only signal is", parts[1])
		}
		for _, s := range selfSignals {
			if s == parts[2] {
				return &Point{Kind: k, Name: "self:signal:" + s, Target: "signal", Func: s}, nil
			}
		}
		return nil, usage("%s is not a supported signal: only SIGUSR1 is", parts[2])
	}
	k.Expand = expandSelf
	k.Context = internalContext(k)
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

func named(name, doc string) *Kind {
	k := &Kind{Name: name, Syntax: name + ":name", Doc: doc, Confine: NotAsked}
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
	k.Expand = expandSelf
	k.Context = internalContext(k)
	return k
}

func testKind() *Kind {
	return named("test", "A test of the script itself, run with --test: returning anything but 0 fails it.")
}

func benchKind() *Kind {
	return named("bench", "A block to measure, run with --bench.")
}
