package cilium

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang/policy"
)

// never is the condition of an entry that matches nothing.
const never = "false"

// condition returns the condition for an entry, or "" if it matches everything.
func (w *writer) condition(e *Entry) string {
	var parts []string
	peers := w.peers(&e.Peers)
	if w.calls {
		peers = w.peersOfCall(e)
	}
	for _, p := range []string{w.protocols(e), peers} {
		if p == never {
			return never
		}
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, " && ")
}

// either joins alternatives.
//
//go:noinline
func either(list []string) string {
	switch len(list) {
	case 0:
		return never
	case 1:
		return list[0]
	}
	return "(" + strings.Join(list, " || ") + ")"
}

// protocols returns the condition for the protocols and ports of an entry.
func (w *writer) protocols(e *Entry) string {
	if e.Port == nil && e.Rule.ICMP == nil {
		return ""
	}
	if e.Port == nil {
		var four, six []string
		for _, m := range e.Rule.ICMP {
			if m.Six {
				six = append(six, fmt.Sprint(m.Type))
			} else {
				four = append(four, fmt.Sprint(m.Type))
			}
		}
		var list []string
		if four != nil {
			list = append(list, fmt.Sprintf("$proto == %d && $type in (%s)", protoICMP, strings.Join(four, ", ")))
		}
		if six != nil {
			list = append(list, fmt.Sprintf("$proto == %d && $type in (%s)", protoICMP6, strings.Join(six, ", ")))
		}
		return either(list)
	}
	if len(e.Port.Ports) == 0 {
		return ""
	}
	// Ports of the same protocols are one list.
	var order []string
	ranges := map[string][]string{}
	for _, p := range e.Port.Ports {
		if p.Protocols == nil {
			return ""
		}
		if p.From > p.To {
			continue // nothing
		}
		key := numbers(p.Protocols)
		if _, ok := ranges[key]; !ok {
			order = append(order, key)
			ranges[key] = nil
		}
		if p.From == 0 {
			ranges[key] = append(ranges[key], "")
		} else {
			ranges[key] = append(ranges[key], interval(p.From, p.To))
		}
	}
	var list []string
	for _, key := range order {
		cond := fmt.Sprintf("$proto in (%s)", key)
		if !policy.Among(ranges[key], "") {
			what := "$port"
			if key == fmt.Sprint(protoICMP) || key == fmt.Sprint(protoICMP6) {
				what = "$type"
			}
			cond += fmt.Sprintf(" && %s in (%s)", what, strings.Join(ranges[key], ", "))
		}
		list = append(list, cond)
	}
	return either(list)
}

func interval(from, to uint16) string {
	if from == to {
		return fmt.Sprint(from)
	}
	return fmt.Sprintf("%d..%d", from, to)
}

func numbers[T cmp.Ordered](list []T) string {
	var parts []string
	for _, n := range list {
		parts = append(parts, fmt.Sprint(n))
	}
	return strings.Join(parts, ", ")
}

// peers returns the condition for a set of peers.
func (w *writer) peers(s *Set) string {
	if s.All {
		return ""
	}
	var list []string
	var plain []netip.Prefix // of terms without exceptions, which are one list
	for _, t := range s.Terms {
		if len(t.Not) == 0 {
			plain = append(plain, t.In...)
			continue
		}
		cond := fmt.Sprintf("$peer in (%s)", prefixes(t.In))
		list = append(list, fmt.Sprintf("%s && !($peer in (%s))", cond, prefixes(t.Not)))
	}
	if plain != nil {
		list = append(list, fmt.Sprintf("$peer in (%s)", prefixes(plain)))
	}
	for _, level := range s.levels() {
		var ids []uint64
		for _, e := range s.Local {
			if e.Level == level {
				ids = append(ids, e.ID)
			}
		}
		list = append(list, fmt.Sprintf("$cgroup%d in (%s)", level, numbers(ids)))
	}
	for i, bits := range w.names.mask(expressions(s.Names)) {
		if bits != 0 {
			list = append(list, fmt.Sprintf("(($names%d ^ $salt) & 0x%x) != 0", i, bits))
		}
	}
	return either(list)
}

// prefixes returns prefixes as a list.
func prefixes(list []netip.Prefix) string {
	var parts []string
	for _, p := range list {
		text := p.String()
		if p.IsSingleIP() {
			text = p.Addr().String()
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

// levels returns the levels of the cgroups in the set.
func (s *Set) levels() (list []int) {
	for _, e := range s.Local {
		if !slices.Contains(list, e.Level) {
			list = append(list, e.Level)
		}
	}
	slices.Sort(list)
	return list
}
