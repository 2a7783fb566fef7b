package tetragon

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/policy/yaml"
)

func isAddress(s string) bool {
	if _, err := netip.ParsePrefix(s); err == nil {
		return true
	}
	_, err := netip.ParseAddr(s)
	return err == nil
}

// inOrNot returns whether an operator is NotIn. It reports other operators than In and NotIn.
func (h *hook) inOrNot(o *operands) bool {
	if o.operator != "In" && o.operator != "NotIn" {
		h.p.unknown(o.opAt, "there is no operator", o.operator, []string{"In", "NotIn"})
	}
	return o.operator == "NotIn"
}

func negate(cond string, not bool) string {
	if not {
		return "!(" + cond + ")"
	}
	return cond
}

func (h *hook) matchPIDs(n *yaml.Node, s *selector) {
	follow, own := false, false
	o, ok := h.condition(n, "a match of process IDs", fields{
		{"followForks", func(n *yaml.Node) { follow = h.p.boolean(n) }},
		{"isNamespacePID", func(n *yaml.Node) { own = h.p.boolean(n) }},
	})
	if !ok {
		return
	}
	not := h.inOrNot(&o)
	if len(o.values) == 0 {
		h.p.diags.Errorf(o.node.At, "the operator %s needs values", o.operator)
		return
	}
	cond := h.alternatives(&o, func(w word) string {
		pid, err := strconv.ParseUint(w.text, 0, 31)
		if err != nil {
			h.p.diags.Errorf(w.at, "'%s' is not a process ID", w.text)
		}
		switch {
		case own && follow:
			return fmt.Sprintf("tg_ns_under(%d)", pid)
		case own:
			return fmt.Sprintf("tg_ns_pid() == %d", pid)
		case follow:
			return fmt.Sprintf("tg_under(%d)", pid)
		}
		return fmt.Sprintf("curtask.tgid == %d", pid)
	})
	s.cheap = append(s.cheap, negate(cond, not))
	// A process starts those that let the user in, or is one of them.
	door := func(w word) bool { return !own && (w.text == "1" || policy.Among(h.p.machine.Way, w.text)) }
	if not || slices.ContainsFunc(o.values, door) {
		s.broad++
	}
}

// matchBinaries adds the condition on the program that the process, or its parent, runs.
func (h *hook) matchBinaries(n *yaml.Node, s *selector, parent bool) {
	follow := false
	o, ok := h.condition(n, "a match of binaries", fields{{"followChildren", func(n *yaml.Node) { follow = h.p.boolean(n) }}})
	if !ok {
		return
	}
	ops := map[string]string{"In": "Equal", "NotIn": "Equal", "Prefix": "Prefix", "NotPrefix": "Prefix", "Postfix": "Postfix", "NotPostfix": "Postfix"}
	op := ops[o.operator]
	if op == "" {
		h.p.unknown(o.opAt, "there is no operator", o.operator, keys(ops))
		return
	}
	if len(o.values) == 0 {
		h.p.diags.Errorf(o.node.At, "the operator %s needs values", o.operator)
		return
	}
	bit, ok := h.p.bitOf(program{op, o.texts(), follow})
	if !ok {
		h.p.unsupported(o.at, "more than %d different conditions on programs are not supported", maxPrograms)
		return
	}
	switch {
	case strings.HasPrefix(o.operator, "Not"):
		s.negated++
	case all(op, o.texts()) || follow && policy.Among(o.texts(), h.p.machine.First):
		s.broad++
	case slices.ContainsFunc(o.texts(), func(path string) bool { return h.p.machine.isDoor(op, path) }):
		s.doors++
	}
	task := "curtask"
	if parent {
		task = "curtask.real_parent.group_leader"
	}
	is := "!="
	if strings.HasPrefix(o.operator, "Not") {
		is = "=="
	}
	s.dear = append(s.dear, fmt.Sprintf("(%s & %d) %s 0", h.keep("tg_programs(@tg_programs, "+task+")"), bit, is))
}

// namespaceOf returns a kind of namespace by its name in policies.
func (h *hook) namespaceOf(w word) *namespace {
	var names []string
	for i := range namespaces {
		if namespaces[i].name == w.text {
			return &namespaces[i]
		}
		names = append(names, namespaces[i].name)
	}
	h.p.unknown(w.at, "there is no namespace", w.text, names)
	return nil
}

func (h *hook) matchNamespaces(n *yaml.Node, s *selector) {
	var ns *namespace
	o, ok := h.condition(n, "a match of namespaces", fields{
		{"namespace", func(n *yaml.Node) { ns = h.namespaceOf(word{h.p.text(n), n.At}) }},
	})
	if !ok {
		return
	}
	if ns == nil {
		if !n.Has("namespace") {
			h.p.diags.Errorf(n.At, "the match needs a namespace")
		}
		return
	}
	not := h.inOrNot(&o)
	var list []string
	for _, w := range o.values {
		if w.text == "host_ns" {
			list = append(list, strconv.FormatUint(h.p.machine.Namespaces[ns.proc], 10))
			continue
		}
		inum, err := strconv.ParseUint(w.text, 0, 32)
		if err != nil {
			h.p.diags.Errorf(w.at, "'%s' is not the number of a namespace or host_ns", w.text)
		}
		list = append(list, strconv.FormatUint(inum, 10))
	}
	if len(list) == 0 {
		h.p.diags.Errorf(o.node.At, "the operator %s needs values", o.operator)
		return
	}
	s.cheap = append(s.cheap, negate(among(ns.of, list), not))
	if host := strconv.FormatUint(h.p.machine.Namespaces[ns.proc], 10); policy.Among(list, host) != not {
		s.broad++
	}
}

// changed returns the condition that a number of the process has changed, in bits of mask,
// since the last event of this hook or since it started.
func (h *hook) changed(s *selector, expr, ofTask string, mask uint64) string {
	m := fmt.Sprintf("@tg_was%d", len(h.p.watched))
	h.p.watched = append(h.p.watched, watch{m, ofTask})
	now, was := fmt.Sprintf("$n%d", len(h.p.watched)), fmt.Sprintf("$w%d", len(h.p.watched))
	s.before = append(s.before,
		fmt.Sprintf("let %s = (uint64)%s;", now, expr),
		fmt.Sprintf("let %s = has_key(%s, curtask.tgid) ? (uint64)%s[curtask.tgid] : %s;", was, m, m, now),
		fmt.Sprintf("%s[curtask.tgid] = %s;", m, now))
	return fmt.Sprintf("((%s ^ %s) & %d) != 0", now, was, mask)
}

// watch is a map with a number for each process.
type watch struct{ name, expr string }

func (h *hook) matchNamespaceChanges(n *yaml.Node, s *selector) {
	o, ok := h.condition(n, "a match of changed namespaces", fields{})
	if !ok {
		return
	}
	not := h.inOrNot(&o)
	var list []string
	for _, w := range o.values {
		if ns := h.namespaceOf(w); ns != nil {
			expr := ns.of
			if ns.name == "Pid" {
				expr = "curtask.nsproxy.pid_ns_for_children.ns.inum"
			}
			list = append(list, h.changed(s, expr, strings.Replace(expr, "curtask", "$t", 1), 0xffffffff))
		}
	}
	if len(list) == 0 {
		h.p.diags.Errorf(o.node.At, "the operator %s needs values", o.operator)
		return
	}
	s.cheap = append(s.cheap, negate("("+strings.Join(list, " || ")+")", not))
}

func (h *hook) matchCapabilities(n *yaml.Node, s *selector, changes bool) {
	set, own := "Effective", false
	members := map[string]string{"Effective": "cap_effective", "Inheritable": "cap_inheritable", "Permitted": "cap_permitted"}
	o, ok := h.condition(n, "a match of capabilities", fields{
		{"type", func(n *yaml.Node) {
			if set = h.p.text(n); members[set] == "" {
				h.p.unknown(n.At, "there is no set of capabilities", set, keys(members))
			}
		}},
		{"isNamespaceCapability", func(n *yaml.Node) { own = h.p.boolean(n) }},
	})
	if !ok {
		return
	}
	not := h.inOrNot(&o)
	var mask uint64
	for _, w := range o.values {
		c, ok := lookup(capabilities.Get(), "CAP_", w.text)
		if !ok || c > 63 {
			h.p.unknown(w.at, "there is no capability", w.text, prefixed(capabilities.Get(), "CAP_"))
		}
		mask |= 1 << (c & 63)
	}
	if len(o.values) == 0 {
		h.p.diags.Errorf(o.node.At, "the operator %s needs values", o.operator)
		return
	}
	if !own {
		s.negated++
	} else {
		s.cheap = append(s.cheap, fmt.Sprintf("curtask.cred.user_ns.ns.inum != %d", h.p.machine.Namespaces["user"]))
	}
	expr := "tg_caps((uint64)curtask.cred + offsetof(struct cred, " + members[set] + "))"
	cond := fmt.Sprintf("(%s & %d) != 0", expr, mask)
	if changes {
		cond = h.changed(s, expr, strings.Replace(expr, "curtask", "$t", 1), mask)
	}
	s.cheap = append(s.cheap, negate(cond, not))
}
