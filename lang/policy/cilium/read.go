package cilium

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/policy/yaml"
	"github.com/gotrace/gotrace/lang/source"
)

// Kinds of resources that are read.
const (
	kindPolicy  = "CiliumNetworkPolicy"
	kindCluster = "CiliumClusterwideNetworkPolicy"
	kindGroup   = "CiliumCIDRGroup"
)

// Recognises reports whether a document is one of Cilium's resources, or a rule or a list
// of rules without a resource around them.
func Recognises(d policy.Document) bool {
	switch d.KindOf() {
	case kindPolicy, kindCluster, kindGroup:
		return true
	case "":
	default:
		return strings.HasPrefix(d.Root.Get("apiVersion").Value, "cilium.io/")
	}
	return bareRules(d.Root) != nil
}

// bareRules returns the rules of a document that is one rule or a list of them, or nil.
func bareRules(n *yaml.Node) []*yaml.Node {
	list := []*yaml.Node{n}
	if n.Kind == yaml.List {
		list = n.Items
	}
	for _, item := range list {
		if !item.Has("endpointSelector") && !item.Has("nodeSelector") {
			return nil
		}
	}
	return list
}

// Read reads the policies of documents that Recognises accepts.
func Read(docs []policy.Document, terms *policy.Terms, diags *source.Diags) *Policies {
	r := &reader{diags: diags, terms: terms}
	out := &Policies{}
	for _, d := range docs {
		switch kind := d.KindOf(); kind {
		case kindPolicy, kindCluster:
			out.Specs = append(out.Specs, r.resource(d.Root, kind == kindCluster)...)
		case kindGroup:
			out.Groups = append(out.Groups, r.group(d.Root))
		case "":
			for i, n := range bareRules(d.Root) {
				s := &Spec{Policy: strings.TrimSuffix(d.File.Name, ".yaml"), Path: fmt.Sprintf("[%d]", i)}
				r.spec(n, s, true)
				out.Specs = append(out.Specs, s)
			}
		default:
			r.diags.ErrorHint(d.Root.Get("kind").At, "there are "+strings.Join([]string{kindPolicy, kindCluster, kindGroup}, ", "),
				"gotrace cannot run resources of the kind %s", kind)
		}
	}
	return out
}

// metadata reads the name and the namespace of a resource.
func (r *reader) metadata(n *yaml.Node) (name, namespace string, labels Labels) {
	labels = Labels{}
	if n.Kind != yaml.Map {
		r.diags.Errorf(n.At, "metadata must be a mapping, not %s", n.Kind)
		return "", "", labels
	}
	for _, f := range n.Get("labels").Fields {
		labels.Add(sourceK8s, f.Key, f.Value.Value)
	}
	return n.Get("name").Value, n.Get("namespace").Value, labels
}

func (r *reader) resource(n *yaml.Node, cluster bool) (specs []*Spec) {
	var name, namespace string
	type item struct {
		path string
		node *yaml.Node
	}
	var items []item
	r.object(n, "the policy",
		field{"apiVersion", anything}, field{"kind", anything}, field{"status", anything},
		field{"metadata", func(n *yaml.Node) { name, namespace, _ = r.metadata(n) }},
		field{"spec", func(n *yaml.Node) { items = append(items, item{"spec", n}) }},
		field{"specs", func(n *yaml.Node) {
			r.list(n, "specs", func(i int, n *yaml.Node) { items = append(items, item{fmt.Sprintf("specs[%d]", i), n}) })
		}})
	if v := n.Get("apiVersion"); v.Kind == yaml.Scalar && v.Value != "cilium.io/v2" && v.Value != "cilium.io/v2alpha1" {
		r.diags.ErrorHint(v.At, "it is cilium.io/v2", "there are no policies of the version '%s'", v.Value)
	}
	if name == "" {
		r.diags.Errorf(n.At, "the policy has no name: metadata.name")
	}
	if len(items) == 0 {
		r.diags.Errorf(n.At, "the policy has neither spec nor specs")
	}
	if cluster {
		namespace = ""
	}
	for _, it := range items {
		s := &Spec{Policy: name, Namespace: namespace, Path: it.path}
		r.spec(it.node, s, cluster)
		specs = append(specs, s)
	}
	return specs
}

func (r *reader) group(n *yaml.Node) *CIDRGroup {
	g := &CIDRGroup{}
	r.object(n, "the CIDR group",
		field{"apiVersion", anything}, field{"kind", anything}, field{"status", anything},
		field{"metadata", func(n *yaml.Node) { g.Name, _, g.Labels = r.metadata(n) }},
		field{"spec", func(n *yaml.Node) {
			r.object(n, "spec", field{"externalCIDRs", func(n *yaml.Node) {
				r.list(n, "externalCIDRs", func(_ int, n *yaml.Node) { g.Prefixes = append(g.Prefixes, r.prefix(n)) })
			}})
		}})
	return g
}

// spec reads one rule of Cilium. nodes reports whether it may select nodes.
func (r *reader) spec(n *yaml.Node, s *Spec, nodes bool) {
	s.At = n.At
	section := func(dir Direction, deny bool) func(n *yaml.Node) {
		name := dir.String()
		if deny {
			name += "Deny"
		}
		return func(n *yaml.Node) {
			s.Has[dir] = true
			r.list(n, name, func(i int, n *yaml.Node) {
				rule := &Rule{Spec: s, Dir: dir, Deny: deny, Path: fmt.Sprintf("%s[%d]", name, i), At: n.At}
				r.leftOut = false
				if r.rule(n, rule); !r.leftOut {
					s.Rules = append(s.Rules, rule)
				}
			})
		}
	}
	selector := func(node bool) func(n *yaml.Node) {
		return func(n *yaml.Node) {
			if s.Selector != nil {
				r.diags.Errorf(n.At, "a rule has either an endpointSelector or a nodeSelector")
			}
			s.Selector, s.Node = r.selector(n), node
		}
	}
	r.object(n, "the rule",
		field{"endpointSelector", selector(false)},
		field{"nodeSelector", func(n *yaml.Node) {
			if !nodes {
				r.diags.Errorf(n.At, "only a %s can have a nodeSelector", kindCluster)
			}
			selector(true)(n)
		}},
		field{"ingress", section(Ingress, false)}, field{"ingressDeny", section(Ingress, true)},
		field{"egress", section(Egress, false)}, field{"egressDeny", section(Egress, true)},
		field{"enableDefaultDeny", func(n *yaml.Node) {
			r.object(n, "enableDefaultDeny",
				field{"ingress", func(n *yaml.Node) { v := r.bool(n, "ingress"); s.Default[Ingress] = &v }},
				field{"egress", func(n *yaml.Node) { v := r.bool(n, "egress"); s.Default[Egress] = &v }})
		}},
		field{"labels", anything}, field{"description", anything},
		field{"log", func(n *yaml.Node) { r.object(n, "log", field{"value", anything}) }})
	if s.Selector == nil {
		r.diags.Errorf(n.At, "the rule selects nothing: it has neither an endpointSelector nor a nodeSelector")
		s.Selector = &Selector{}
	}
	for _, rule := range s.Rules {
		for _, p := range rule.Ports {
			if s.Node && (p.HTTP != nil || p.SNI != nil) {
				r.diags.Errorf(p.At, "a rule with a nodeSelector can look into DNS only, not into HTTP or TLS")
			}
		}
	}
}

// selector reads a selector of labels.
func (r *reader) selector(n *yaml.Node) *Selector {
	s := &Selector{At: n.At}
	labels := func(n *yaml.Node) {
		if n.Kind != yaml.Map {
			r.diags.Errorf(n.At, "matchLabels must be a mapping, not %s", n.Kind)
		}
		for _, f := range n.Fields {
			s.Needs = append(s.Needs, Requirement{Key: f.Key, Values: []string{r.label(f.Value, f.Key)}})
		}
	}
	r.object(n, "the selector",
		field{"matchLabels", labels},
		field{"matchExpressions", func(n *yaml.Node) {
			r.list(n, "matchExpressions", func(_ int, n *yaml.Node) { s.Needs = append(s.Needs, r.expression(n)) })
		}})
	return s
}

// label returns the value of a label, which may be empty.
func (r *reader) label(n *yaml.Node, key string) string {
	if n.Kind == yaml.Null {
		return ""
	}
	return r.text(n, "the value of the label "+key)
}

func (r *reader) expression(n *yaml.Node) Requirement {
	q := Requirement{}
	op := -1
	r.object(n, "the expression",
		field{"key", func(n *yaml.Node) { q.Key = r.text(n, "key") }},
		field{"operator", func(n *yaml.Node) {
			text := r.text(n, "operator")
			for i, name := range operators {
				if strings.EqualFold(name, text) {
					op = i
				}
			}
			if op < 0 {
				r.diags.ErrorHint(n.At, "there are "+strings.Join(operators, ", "), "there is no operator '%s'", text)
			}
		}},
		field{"values", func(n *yaml.Node) { q.Values = r.texts(n, "values") }})
	q.Op = Operator(max(op, 0))
	switch {
	case q.Key == "":
		r.diags.Errorf(n.At, "the expression has no key")
	case op < 0 && !n.Has("operator"):
		r.diags.Errorf(n.At, "the expression has no operator")
	case (q.Op == In || q.Op == NotIn) && op >= 0 && len(q.Values) == 0:
		r.diags.Errorf(n.At, "the operator %s needs values", operators[q.Op])
	case (q.Op == Exists || q.Op == DoesNotExist) && len(q.Values) > 0:
		r.diags.Errorf(n.At, "the operator %s has no values", operators[q.Op])
	}
	return q
}

// prefix reads an address or a prefix. An address is a prefix of all its bits.
func (r *reader) prefix(n *yaml.Node) netip.Prefix {
	text := r.text(n, "a prefix")
	p, err := ParsePrefix(text)
	if err != nil && n.Kind == yaml.Scalar {
		r.diags.Errorf(n.At, "'%s' is neither an address nor a prefix", text)
	}
	return p
}

// ParsePrefix parses an address or a prefix.
func ParsePrefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err
}
