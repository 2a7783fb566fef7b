package main

import (
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang/policy"
	front "github.com/gotrace/gotrace/lang/policy/cilium"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/outline"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/policy/cilium"
)

// ciliumPolicies are the network policies of Cilium.
var ciliumPolicies = policySystem{
	name: "Cilium", kind: "network policies of Cilium",
	recognises: front.Recognises,
	translate: func(docs []policy.Document, own *policyOptions, terms *policy.Terms, diags *source.Diags) translation {
		p := front.Read(docs, terms, diags)
		m := cilium.Machine{}
		out, err := m.Find()
		if err != nil {
			diags.Errorf(source.Span{}, "%v", err)
			return nil
		}
		if err := own.network(&m, out); err != nil {
			diags.Errorf(source.Span{}, "%v", err)
		}
		list := front.Resolve(p, out, diags)
		if terms.Unsafe {
			cilium.CheckLockout(list, own.lockout, diags)
		}
		if len(list) == 0 && own.only {
			list = front.Example(p, out, diags)
		}
		if len(list) == 0 && !diags.HasErrors() {
			diags.Errorf(source.Span{}, "the policies select nothing that runs on this machine")
		}
		if diags.HasErrors() {
			return nil
		}
		return &ciliumScript{front.Translate(list, terms.Unsafe, diags)}
	},
}

// network adds to a machine the properties of its network that are given by flags.
func (own *policyOptions) network(m *cilium.Machine, out *front.Machine) error {
	for _, text := range own.endpoints {
		if err := m.Add(text); err != nil {
			return err
		}
	}
	for _, text := range own.entities {
		name, in, err := namedPrefix("--entity", text)
		if err != nil {
			return err
		}
		if !slices.Contains(front.Entities(), name) {
			return outline.Errorf("--entity: there is no entity '%s'", name)
		}
		out.Entities[name] = append(out.Entities[name], in)
	}
	for _, text := range own.services {
		name, in, err := namedPrefix("--service", text)
		if err != nil {
			return err
		}
		out.Services[name] = append(out.Services[name], in)
	}
	for _, text := range own.clusterCIDRs {
		in, err := front.ParsePrefix(text)
		if err != nil {
			return outline.Errorf("--cluster-cidr: '%s' is not a prefix", text)
		}
		out.Cluster = append(out.Cluster, in)
	}
	return nil
}

// namedPrefix parses NAME=PREFIX.
func namedPrefix(flag, text string) (name string, in netip.Prefix, err error) {
	i := strings.LastIndexByte(text, '=')
	if i > 0 {
		if in, err = front.ParsePrefix(text[i+1:]); err == nil {
			return text[:i], in, nil
		}
	}
	return "", in, outline.Errorf("%s '%s': write NAME=PREFIX", flag, text)
}

// ciliumScript is the translation of network policies.
type ciliumScript struct{ script *front.Script }

func (s *ciliumScript) Script() *source.File { return s.script.File }

func (s *ciliumScript) Sink(format string) makeSink {
	switch format {
	case "text":
		return func(out *output.Writer, err io.Writer, opt output.Style) output.Sink {
			return cilium.NewText(s.script, out, err, opt)
		}
	case "json":
		return func(out *output.Writer, err io.Writer, opt output.Style) output.Sink {
			return cilium.NewJSON(s.script, out, err, opt)
		}
	}
	return nil
}
