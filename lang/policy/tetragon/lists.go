package tetragon

import (
	"regexp"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang/policy/yaml"
	"github.com/gotrace/gotrace/lang/source"
)

// list is a list of functions or system calls.
type list struct {
	names    []string
	syscalls bool
}

// readLists reads the lists of a policy.
func (p *policyReader) readLists(n *yaml.Node) {
	p.lists = map[string]*list{}
	for _, item := range p.items(n) {
		l := &list{}
		name, kind, pattern := "", "", ""
		var kindAt, patternAt source.Span
		p.object(item, "a list", fields{
			{"name", func(n *yaml.Node) { name = p.text(n) }},
			{"type", func(n *yaml.Node) { kind, kindAt = p.text(n), n.At }},
			{"pattern", func(n *yaml.Node) { pattern, patternAt = p.text(n), n.At }},
			{"validated", func(n *yaml.Node) { p.boolean(n) }},
			{"values", func(n *yaml.Node) {
				for _, w := range p.values(n) {
					l.names = append(l.names, w.text)
				}
			}},
		})
		switch kind {
		case "":
		case "syscalls":
			l.syscalls = true
		case "generated_syscalls":
			l.syscalls = true
			all, _ := p.terms.Kernel.Tracepoints()
			for _, t := range all {
				if call, ok := strings.CutPrefix(t, "syscalls:sys_enter_"); ok {
					l.names = append(l.names, "sys_"+call)
				}
			}
		case "generated_ftrace":
			re, err := regexp.Compile(pattern)
			if err != nil || pattern == "" {
				p.diags.Errorf(or(patternAt, item.At), "the list needs a regular expression as 'pattern'")
				continue
			}
			all, _ := p.terms.Kernel.Functions()
			for _, f := range all {
				if f = f[strings.IndexByte(f, ':')+1:]; re.MatchString(f) {
					l.names = append(l.names, f)
				}
			}
			slices.Sort(l.names)
			l.names = slices.Compact(l.names)
		default:
			p.unknown(kindAt, "there is no type of lists", kind, []string{"syscalls", "generated_syscalls", "generated_ftrace"})
		}
		if name == "" {
			p.diags.Errorf(item.At, "the list has no name")
		}
		p.lists[name] = l
	}
}

func or(at, other source.Span) source.Span {
	if at.IsValid() {
		return at
	}
	return other
}

// readMacros reads the selectors that other selectors can include.
func (p *policyReader) readMacros(n *yaml.Node) {
	p.macros = map[string]*yaml.Node{}
	if n == nil || n.Kind == yaml.Null {
		return
	}
	if n.Kind != yaml.Map {
		p.diags.Errorf(n.At, "selectorsMacros must be a mapping, not %s", n.Kind)
		return
	}
	for _, f := range n.Fields {
		p.macros[f.Key] = f.Value
	}
}

// readEnforcers reads the system calls that NotifyEnforcer makes fail.
func (p *policyReader) readEnforcers(n *yaml.Node) {
	for _, e := range p.items(n) {
		p.object(e, "an enforcer", fields{{"calls", func(n *yaml.Node) {
			for _, w := range p.values(n) {
				name, ok := strings.CutPrefix(w.text, "list:")
				if !ok {
					p.enforce(w.at, w.text)
					continue
				}
				l := p.lists[name]
				if l == nil {
					p.unknown(w.at, "the policy has no list", name, keys(p.lists))
					continue
				}
				p.enforce(w.at, l.names...)
			}
		}}})
	}
}

// enforce adds system calls, or security hooks, that NotifyEnforcer makes fail.
func (p *policyReader) enforce(at source.Span, calls ...string) {
	for _, call := range calls {
		if _, ok := p.syscallNumber(call); !ok && !strings.HasPrefix(call, "security_") {
			p.diags.Warnf(at, "this kernel has no system call '%s': it is left out", call)
			continue
		}
		p.calls = append(p.calls, call)
	}
}
