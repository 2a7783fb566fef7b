package probes

import (
	"strings"

	"github.com/gotrace/gotrace/lang/source"
)

// Hint returns why p, which may be nil, matches nothing, or the name that it may stand
// for, or "".
func Hint(e *Env, p *Point) string {
	if p == nil {
		return ""
	}
	if p.Kind.Lacks != nil {
		if lacks := p.Kind.Lacks(e, p); lacks != "" {
			return lacks
		}
	}
	if p.Kind.Suggest == nil {
		return ""
	}
	if near := p.Kind.Suggest(e, p); near != "" {
		return "did you mean '" + near + "'?"
	}
	return ""
}

// Reason returns why a list of the attach points that match parts is empty, or the nearest
// name, or "". A list may have points with fewer parts than a probe, and with wildcards, so
// errors about these are no reasons.
func (k *Kind) Reason(e *Env, parts []string) string {
	p, err := k.Parse(e, parts)
	if err != nil && !strings.Contains(err.Error(), aboutParts) {
		return err.Error()
	}
	return Hint(e, p)
}

// nearest returns the candidate that is most similar to name, or "".
//
//go:noinline
func nearest(name string, candidates []string) string { return source.Nearest(name, candidates) }

// suggestFunction returns a traceable function that p may refer to: one whose name the
// compiler or a newer kernel has changed, or the one with the most similar name.
// If the module is not loaded, it returns the name of a loaded module that is similar to
// the module's, if there is one.
func suggestFunction(e *Env, p *Point) string {
	if p.Target == "bpf" {
		return ""
	}
	if !loaded(e, p.Target) {
		if near := nearest(p.Target, e.Kernel.Modules()); near != "" {
			return near
		}
	}
	return traceableLike(e, p.Func)
}

// traceableLike returns the name of a traceable function that name may stand for, or "".
func traceableLike(e *Env, name string) string {
	all, _ := e.Kernel.Functions()
	return functionLike(name, all)
}

// functionLike returns the name of a function that name may stand for, from a list of
// functions with their modules, or "".
func functionLike(name string, all []string) string {
	names := make([]string, 0, len(all))
	for _, f := range all {
		names = append(names, f[strings.IndexByte(f, ':')+1:])
	}
	if variant := variantOf(name, names); variant != "" {
		return variant
	}
	for _, prefix := range archPrefixes {
		if base, ok := strings.CutPrefix(name, prefix); ok {
			if variant := variantOf(base, names); variant != "" {
				return variant
			}
		}
	}
	if len(name) < 3 { // such a short name is similar to too many others
		return ""
	}
	return nearest(name, names)
}

// renames lists forms of later names of functions. %s is the old name, which became an
// inline function or a macro, or has another form on an architecture.
var renames = []string{"%s_noprof", "__%s_noprof", "__%s", "__x64_%s", "__x64_sys_%s", "__arm64_%s", "ksys_%s", "do_%s"}

// archPrefixes lists the prefixes of the names of system calls by architecture.
var archPrefixes = []string{"__x64_", "__arm64_", "__s390x_", "__riscv_", "__ia32_", "SyS_", "__se_"}

// variantOf returns a later name of a function, or its name with a suffix that the
// compiler added when it changed the function's parameters or split it. It returns "" if
// names contains neither.
func variantOf(name string, names []string) string {
	known := make(map[string]bool, len(names))
	best := ""
	for _, n := range names {
		known[n] = true
		base, suffix, ok := strings.Cut(n, ".")
		if ok && base == name && !strings.HasPrefix(suffix, "cold") && (best == "" || n < best) {
			best = n
		}
	}
	for _, r := range renames {
		if n := strings.Replace(r, "%s", name, 1); best == "" && known[n] {
			best = n
		}
	}
	return best
}
