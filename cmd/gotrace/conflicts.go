package main

// checkConflicts returns an error if flags contradict each other: they ask for different
// things, or for results of a session where there is none.
func (o *options) checkConflicts(given func(flag string) bool) error {
	if o.spans && o.otlp == "" {
		return usagef("USAGE: --spans goes with --otlp")
	}
	instead := ""
	for _, m := range []struct {
		on   bool
		flag string
	}{{o.info, "--info"}, {o.list, "-l"}, {o.fmt, "--fmt"}, {o.emitELF != "", "--emit-elf"}} {
		switch {
		case !m.on || o.version:
		case instead != "":
			return usagef("USAGE: %s conflicts with %s", m.flag, instead)
		default:
			instead = m.flag
		}
	}
	refused := fileFlags
	switch {
	case instead != "":
		refused = append(refused[:len(refused):len(refused)], sessionFlags...)
	case o.dryRun:
		instead = "--dry-run"
	case o.mode != "":
		instead = "--mode " + o.mode
	default:
		return nil
	}
	for _, name := range refused {
		if given(name) {
			return usagef("USAGE: --%s needs a session, which %s does not start", name, instead)
		}
	}
	return nil
}
