package tetragon

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/policy/yaml"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/cgroups"
)

// Container is a container that runs on the machine.
type Container struct {
	*cgroups.Container
	Cgroups []uint64 // IDs of version 2 cgroups: that of the container and those below it
}

// containers returns the containers of this machine that have version 2 cgroups.
func containers() (list []*Container) {
	root, err := cgroups.Version2("/proc")
	if err != nil {
		return nil
	}
	var s cgroups.System
	byID := map[string]*Container{}
	all := cgroups.Cgroups(root)
	for _, id := range slices.Sorted(maps.Keys(all)) {
		owner := cgroups.OwnerOf(all[id]).Container
		c := byID[owner]
		if c == nil {
			known := s.Container(owner)
			if owner == "" || known == nil {
				continue
			}
			c = &Container{Container: known}
			byID[owner] = c
			list = append(list, c)
		}
		c.Cgroups = append(c.Cgroups, id)
	}
	return list
}

// labelTerm is a condition on a label: it has one of values or, if not is set, none of
// them. If values is empty, the label must exist, or must not exist if not is set.
type labelTerm struct {
	key    string
	not    bool
	values []string
}

// podSelector is a selector of pods, or of containers by their name and repository.
type podSelector struct {
	at         source.Span
	containers bool
	terms      []labelTerm
}

// labels reads a selector of labels.
func (p *policyReader) labels(n *yaml.Node) (terms []labelTerm) {
	if n.Kind == yaml.Null {
		return nil
	}
	p.object(n, "a selector of labels", fields{
		{"matchLabels", func(n *yaml.Node) {
			for _, f := range n.Fields {
				terms = append(terms, labelTerm{f.Key, false, []string{p.text(f.Value)}})
			}
		}},
		{"matchExpressions", func(n *yaml.Node) {
			for _, e := range p.items(n) {
				var t labelTerm
				var op *yaml.Node
				p.object(e, "an expression on labels", fields{
					{"key", func(n *yaml.Node) { t.key = p.text(n) }},
					{"operator", func(n *yaml.Node) { op = n }},
					{"values", func(n *yaml.Node) {
						for _, w := range p.values(n) {
							t.values = append(t.values, w.text)
						}
					}},
				})
				is, possible := "", []string{"In", "NotIn", "Exists", "DoesNotExist"}
				if op != nil {
					is = p.text(op)
				}
				switch {
				case !policy.Among(possible, is):
					p.unknown(e.At, "there is no operator", is, possible)
				case (is == "In" || is == "NotIn") != (len(t.values) > 0):
					p.diags.Errorf(e.At, "In and NotIn take values, and Exists and DoesNotExist do not")
				}
				t.not = is == "NotIn" || is == "DoesNotExist"
				terms = append(terms, t)
			}
		}},
	})
	return terms
}

// selects reports whether a container meets the conditions.
func (s *podSelector) selects(c *Container) bool {
	for _, t := range s.terms {
		v, ok := c.label(t.key)
		if s.containers {
			v = map[string]string{"name": c.Name, "repo": c.Image}[t.key]
			ok = v != ""
		}
		if ok = ok && (len(t.values) == 0 || policy.Among(t.values, v)); ok == t.not {
			return false
		}
	}
	return true
}

// label returns a label of the container or of its pod. The key of a Kubernetes label may
// have the prefix k8s:.
func (c *Container) label(key string) (string, bool) {
	key = strings.TrimPrefix(key, "k8s:")
	switch key {
	case "io.kubernetes.pod.name":
		return c.Pod, c.Pod != ""
	case "io.kubernetes.pod.namespace":
		return c.Namespace, c.Namespace != ""
	}
	v, ok := c.Labels[key]
	return v, ok
}

// selectPods determines the cgroups to which the policy applies, if it selects pods or
// containers and containers are known on this machine.
func (p *policyReader) selectPods() {
	if p.namespace == "" && !slices.ContainsFunc(p.selectors, func(s podSelector) bool { return len(s.terms) > 0 }) {
		return
	}
	var known []*Container
	if p.machine.Containers != nil {
		known = p.machine.Containers()
	}
	if ns := func(c *Container) bool { return c.Namespace != "" }; len(known) == 0 || p.namespace != "" && !slices.ContainsFunc(known, ns) {
		for _, s := range p.selectors {
			if len(s.terms) > 0 {
				p.diags.Warnf(s.at, "no container that is known runs here: the policy applies to all processes outside the host's namespace of process IDs")
			}
		}
		if p.namespace != "" {
			p.diags.Warnf(p.nsAt, "no container that is known runs here, so the namespaces of Kubernetes are not: the policy applies to all processes")
		}
		return
	}
	p.selected = []string{"0"}
	for _, c := range known {
		if p.namespace != "" && c.Namespace != p.namespace || slices.ContainsFunc(p.selectors, func(s podSelector) bool { return !s.selects(c) }) {
			continue
		}
		for _, id := range c.Cgroups {
			p.selected = append(p.selected, fmt.Sprint(id))
		}
	}
	if len(p.selected) == 1 {
		at := p.nsAt
		if len(p.selectors) > 0 {
			at = p.selectors[0].at
		}
		p.diags.Warnf(at, "none of the %d containers that run here is selected", len(known))
	}
}

// within returns the condition that the policy applies to the process, or "".
func (p *policyReader) within() string {
	host := fmt.Sprintf("tg_pid_ns() %%s %d", p.machine.Namespaces["pid"])
	switch {
	case p.selected != nil && p.hostToo:
		return fmt.Sprintf(host, "==") + " || cgroup in (" + strings.Join(p.selected, ", ") + ")"
	case p.selected != nil:
		return "cgroup in (" + strings.Join(p.selected, ", ") + ")"
	case len(p.selectors) > 0 && !p.hostToo:
		return fmt.Sprintf(host, "!=")
	}
	return ""
}
