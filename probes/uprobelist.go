package probes

import "strings"

// listedTarget splits a search pattern into the binary and the rest. With -p the binary
// may be omitted, and denotes every file that the process has mapped. Without it, ok is
// false if neither the provider nor the binary is named: a pattern such as * does not list
// the functions of all files.
func listedTarget(e *Env, parts []string) (target string, rest []string, ok bool) {
	anyKind := isWild(parts[0])
	target, rest = splitListed(e, scoped(parts)[1:])
	return target, rest, e.PID != 0 || !anyKind || !isWild(target) || strings.Contains(target, "/")
}

func splitListed(e *Env, parts []string) (target string, rest []string) {
	switch {
	case len(parts) == 0:
		return "*", []string{"*"}
	case len(parts) == 1 && e.PID != 0 && !strings.Contains(parts[0], "/"):
		return "*", parts
	case len(parts) == 1:
		return parts[0], []string{"*"}
	case parts[0] == "":
		return "*", parts[1:]
	}
	return parts[0], parts[1:]
}

func listUprobes(e *Env, k *Kind, parts []string, yield func(string) bool) error {
	target, rest, ok := listedTarget(e, parts)
	if !ok {
		return nil
	}
	paths, err := resolveBinaries(e, k.Name, target)
	if err != nil {
		return err
	}
	p := &Point{Kind: k, Func: rest[len(rest)-1]}
	if len(rest) == 2 && (rest[0] == cppMark || rest[0] == inlinedMark) {
		p.Mode = rest[0]
	}
	for _, path := range paths {
		x, err := openTarget(e, k.Name, path)
		if err != nil {
			if isWild(target) {
				continue
			}
			return err
		}
		if p.Mode == inlinedMark {
			if k.OnReturn || !listInlined(k, path, x, p.Func, yield) {
				return nil
			}
			continue
		}
		prev := ""
		matches, isSource := nameMatcher(x, p)
		for _, s := range x.Functions(matches) {
			name := s.Name
			if isSource {
				name = sourceName(name)
			}
			if name == prev {
				continue
			}
			prev = name
			if !yield(k.Name + ":" + path + ":" + name) {
				return nil
			}
		}
	}
	return nil
}
