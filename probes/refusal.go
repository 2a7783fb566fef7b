package probes

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/wildcard"
)

// kprobeBlacklist is the file in debugfs that lists the functions that must not be
// probed, one per line: the range of addresses and the name.
const kprobeBlacklist = "/sys/kernel/debug/kprobes/blacklist"

// refusal returns the reason why the kernel refuses a probe at p, a function or a
// location in it. It uses the symbols and blacklist, the content of kprobeBlacklist. It
// returns "" if they contain no reason.
func refusal(k Kernel, p *object.Point, blacklist string) string {
	addr, ok := k.Symbol(p.Func)
	if !ok {
		return ""
	}
	if name, _, _, ok := k.SymbolAt(addr + p.Offset); p.Offset != 0 && ok && name != p.Func {
		return fmt.Sprintf("the offset is outside the function: %d bytes after the start of %s is %s", p.Offset, p.Func, name)
	}
	start, ok1 := k.Symbol("_sinittext")
	end, ok2 := k.Symbol("_einittext")
	if ok1 && ok2 && start <= addr && addr < end {
		return "the function runs only while the system boots: its memory has been freed since"
	}
	if slices.Contains(blacklisted(blacklist), p.Func) {
		return "the function is " + onBlacklist
	}
	return ""
}

const onBlacklist = "on the kernel's list of functions that must not be probed (" + kprobeBlacklist + ")"

// blacklisted returns the names of the functions in the content of kprobeBlacklist.
func blacklisted(text string) (names []string) {
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		if f := strings.Fields(s.Text()); len(f) > 1 {
			names = append(names, f[1])
		}
	}
	return names
}

// onlyBlacklisted returns a message that the pattern of a kprobe, which matches no function
// that can be probed, matches functions in the content of kprobeBlacklist, or "".
func onlyBlacklisted(p *Point, text string) string {
	if !isWild(p.Func) || p.Target != "" && !wildcard.Match(p.Target, "vmlinux") {
		return ""
	}
	names := blacklisted(text)
	slices.Sort(names)
	names = slices.DeleteFunc(slices.Compact(names), func(name string) bool { return !wildcard.Match(p.Func, name) })
	switch n := len(names); n {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("%s matches, but is %s", names[0], onBlacklist)
	default:
		return fmt.Sprintf("%d functions match, such as %s, but are %s", n, names[0], onBlacklist)
	}
}

// kprobeRefusal is refusal for kprobes of the running kernel. It returns general if the
// reason is not known.
func kprobeRefusal(e *Env, p *object.Point, general string) string {
	list, _ := os.ReadFile(kprobeBlacklist)
	if why := refusal(e.Kernel, p, string(list)); why != "" {
		return why
	}
	return general
}

// noKprobe returns the reason why the kernel puts no kprobe on an existing function, or "".
func noKprobe(e *Env, p *object.Point) string {
	general := ""
	if !loaded(e, p.Target) {
		return ""
	}
	if _, err := e.Kernel.FuncProto(p.Target, p.Func); err == nil && untraced(e, p) {
		general = "the function is not traceable: it is marked notrace, and this kernel may be built without kprobes in such functions (CONFIG_KPROBE_EVENTS_ON_NOTRACE)"
	}
	return kprobeRefusal(e, p, general)
}

// untraced reports whether the kernel's list of traceable functions lacks a function.
func untraced(e *Env, p *object.Point) bool {
	all, err := e.Kernel.Functions()
	return err == nil && !slices.ContainsFunc(all, func(f string) bool {
		module, name, _ := strings.Cut(f, ":")
		return name == p.Func && (p.Target == "" || module == p.Target)
	})
}

// fentryRefusal returns the reason why the kernel does not attach fentry or fexit to a
// function that is in BTF. It returns general if the reason is not known.
func fentryRefusal(e *Env, p *object.Point, general string) string {
	if why := refusal(e.Kernel, p, ""); why != "" {
		return why
	}
	if untraced(e, p) {
		return "the function is not traceable: it is marked notrace, or has no room for a call at its start"
	}
	return general
}

const noFentry = "the kernel does not attach programs to this function"

// withoutBTF returns a message that an existing function has no BTF, which fentry
// needs, or "".
func withoutBTF(e *Env, p *Point) string {
	if p.Target == "bpf" {
		return ""
	}
	if !loaded(e, p.Target) {
		if near := nearest(p.Target, e.Kernel.Modules()); near != "" {
			return fmt.Sprintf("module %s is not loaded: did you mean '%s'?", p.Target, near)
		}
		return fmt.Sprintf("module %s is not loaded", p.Target)
	}
	if isWild(p.Func) || isWild(p.Target) {
		return onlyUntraceable(e, p)
	}
	if _, ok := e.Kernel.Symbol(p.Func); !ok {
		return ""
	}
	if _, err := e.Kernel.FuncProto(p.Target, p.Func); err == nil {
		return ""
	}
	return fmt.Sprintf("the kernel has no BTF for the function, as for assembly code and names that are not unique; %s does not need it", kprobeAt(p.Func))
}

// onlyUntraceable returns a message that all functions that a pattern of fentry or fexit
// matches are ones to which no program is attached, or "".
func onlyUntraceable(e *Env, p *Point) string {
	all, err := e.Kernel.Functions()
	if err != nil {
		return ""
	}
	byReason := map[string]int{}
	for _, f := range all {
		mod, fn, _ := strings.Cut(f, ":")
		if !wildcard.Match(p.Func, fn) || p.Target != "" && !wildcard.Match(p.Target, mod) {
			continue
		}
		proto, err := e.Kernel.FuncProto(mod, fn)
		switch {
		case slices.Contains(neverTraced, fn):
			byReason["called by such programs, so the kernel attaches none to them"]++
		case unmatched(fn, p.Kind.OnReturn):
			byReason["never return"]++
		case reentered(e, fn):
			byReason["called by such programs, and Linux before 5.12 does not prevent that they call themselves"]++
		case err != nil:
			byReason["no BTF, which kprobe does not need"]++
		case proto.Variadic:
			byReason["a variable number of arguments"]++
		}
	}
	var list []string
	for _, why := range slices.Sorted(maps.Keys(byReason)) {
		list = append(list, fmt.Sprintf("%s (%d)", why, byReason[why]))
	}
	if len(list) == 0 {
		return ""
	}
	return fmt.Sprintf("no program can be attached to the functions that match; reasons: %s", strings.Join(list, "; "))
}
