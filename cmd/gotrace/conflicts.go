package main

import "github.com/gotrace/gotrace/runtime/output"

// checkConflicts returns an error if flags contradict each other: they select different
// modes, or results of a session in a mode without one.
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

// checkFiles returns an error if two of the files for results are the same, or if one is the
// script. It also returns one if a flag for such a file has an empty value, which usually
// comes from an unset shell variable.
func (o *options) checkFiles(fs *flagSet) error {
	type file struct{ what, name string }
	var all []file
	if o.file != "" && o.file != "-" && !o.fmt { // which can write the script back
		all = append(all, file{"the script", o.file})
	}
	for i, flag := range append([]string{"prometheus", "otlp", "output", "emit-elf"}, fileFlags...) {
		if !fs.Changed(flag) {
			continue
		}
		f := file{"--" + flag, fs.Lookup(flag).Value.String()}
		if f.name == "" {
			return usagef("USAGE: %s needs a value", f.what)
		}
		if i < 2 {
			continue
		}
		for _, other := range all {
			if output.SameFile(other.name, f.name) {
				return usagef("USAGE: %s and %s have the same file %s", other.what, f.what, f.name)
			}
		}
		all = append(all, f)
	}
	return nil
}
