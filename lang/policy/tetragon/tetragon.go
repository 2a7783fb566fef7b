// Package tetragon translates Tetragon's tracing policies to a script of gotrace's
// language. The script prints a tuple for each event: the number of the event in the
// table Translation.Events, then the values that the event's description lists. Package
// runtime/policy/tetragon shows them as Tetragon does.
package tetragon

import (
	"strings"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/policy/yaml"
	"github.com/gotrace/gotrace/lang/source"
)

// Translation is the result of translating policies.
type Translation struct {
	Script *source.File
	// Events describes the events that the script prints, by number.
	Events []*Event
	// Unsafe is set if the policies may act.
	Unsafe bool

	preamble int // length of the script before the policies' probes
}

// Kind is the kind of an event, which is also its key in Tetragon's JSON.
type Kind string

const (
	Exec       Kind = "process_exec"
	Exit       Kind = "process_exit"
	Fork       Kind = "fork" // it is not shown
	Kprobe     Kind = "process_kprobe"
	Tracepoint Kind = "process_tracepoint"
	Uprobe     Kind = "process_uprobe"
	Usdt       Kind = "process_usdt"
	LSM        Kind = "process_lsm"
	Loader     Kind = "process_loader"
)

// Event describes a kind of event of a policy.
type Event struct {
	Kind          Kind
	Policy        string
	Message       string
	Tags          []string
	Function      string // of kprobes; "" if the record has the name of the probe
	Subsys, Event string // of a tracepoint
	Path, Symbol  string // of an uprobe; Symbol may be an address
	// Offsets has the offset in the file for each address of uprobes that the policy gives as
	// offset, Counters that of the reference counter for each symbol or address with one.
	Offsets, Counters map[string]uint64
	Provider          string // of a USDT probe; its name is in Symbol
	Args              []Arg
	Return            *Arg // nil if the event is not sent when the function returns
	Outcomes          []Outcome
	Kept              int  // number of values in the record that only the script uses; they follow the values of arguments that are not late
	KernelStack       bool // whether the record has the stack
	UserStack         bool
}

// count records the offset of the reference counter of a symbol or address.
func (e *Event) count(place string, n uint64) {
	if e.Counters == nil {
		e.Counters = map[string]uint64{}
	}
	e.Counters[place] = n
}

// Arg is an argument of an event.
type Arg struct {
	Type   string // as the policy has it
	Label  string
	Data   bool // it is not one of the function's arguments
	Show   Show
	Fields int  // number of values in the record
	Late   bool // its values come after those of the arguments that are not late
}

// Outcome describes the actions of a selector.
type Outcome struct {
	Action, ReturnAction string // the names in Tetragon's JSON
	// Audit is set if the action was not carried out, because the policies may not act.
	Audit                  bool
	KernelStack, UserStack bool
	Hash                   bool
	URLs, Names            []string // to get and to look up
}

// Recognises reports whether a document is a tracing policy.
func Recognises(d policy.Document) bool {
	return strings.HasPrefix(d.Root.Get("apiVersion").Value, "cilium.io/") && kinds[d.KindOf()]
}

var kinds = map[string]bool{"TracingPolicy": true, "TracingPolicyNamespaced": true}

// Translate translates tracing policies for a machine. It returns nil if there are errors.
func Translate(docs []policy.Document, m *Machine, terms *policy.Terms, diags *source.Diags) *Translation {
	s := &script{t: &Translation{Unsafe: terms.Unsafe}, machine: m, terms: terms, hooks: map[string]*action{}, ends: map[string]bool{}}
	for _, d := range docs {
		p := &policyReader{script: s, diags: diags, terms: terms}
		p.document(d.Root)
	}
	if diags.HasErrors() {
		return nil
	}
	if len(s.t.Events) == 0 {
		diags.Warnf(source.Span{}, "nothing is left of the policies but the starts and ends of processes")
	}
	s.t.Script = s.file()
	s.t.preamble = s.preamble
	return s.t
}

// policyReader reads one policy.
type policyReader struct {
	*script
	diags     *source.Diags
	terms     *policy.Terms
	name      string
	lists     map[string]*list
	macros    map[string]*yaml.Node
	namespace string // namespace of Kubernetes to which the policy applies
	nsAt      source.Span
	selectors []podSelector // of pods and containers
	hostToo   bool          // the policy applies to the host in addition to pods
	selected  []string      // IDs of the cgroups to which it applies; nil: not known
	loader    bool
	tracks    bool     // the policy records the owners of sockets
	monitor   bool     // the policy's own mode: it only reports
	calls     []string // system calls of the enforcer
	refused   int      // number of things that are not supported
}

// unsafe reports whether the policy may act.
func (p *policyReader) unsafe() bool { return p.terms.Unsafe && !p.monitor }

// document reads a policy and writes its probes.
func (p *policyReader) document(root *yaml.Node) {
	var spec *yaml.Node
	ns := ""
	p.object(root, "a tracing policy", fields{
		{"apiVersion", func(n *yaml.Node) {
			if n.Value != "cilium.io/v1alpha1" {
				p.diags.ErrorHint(n.At, "it is 'cilium.io/v1alpha1'", "the version '%s' of tracing policies is not known", n.Value)
			}
		}},
		{"kind", func(n *yaml.Node) {
			if n.Value == "TracingPolicyNamespaced" {
				p.namespace, p.nsAt = "default", n.At
			}
		}},
		{"metadata", func(n *yaml.Node) { p.name, ns = p.text(n.Get("name")), n.Get("namespace").Value }},
		{"spec", func(n *yaml.Node) { spec = n }},
		{"status", nil},
	})
	if spec == nil || spec.Kind == yaml.Null {
		p.diags.Errorf(root.At, "the policy has no 'spec'")
		return
	}
	if p.namespace != "" && ns != "" {
		p.namespace = ns
	}
	var kprobes, fentries, tracepoints, uprobes, usdts, lsmhooks, enforcers *yaml.Node
	selectPods := func(containers bool) func(*yaml.Node) {
		return func(n *yaml.Node) { p.selectors = append(p.selectors, podSelector{n.At, containers, p.labels(n)}) }
	}
	var lists, macros *yaml.Node
	p.object(spec, "a policy's spec", fields{
		{"kprobes", keep(&kprobes)}, {"fentries", keep(&fentries)}, {"tracepoints", keep(&tracepoints)},
		{"uprobes", keep(&uprobes)}, {"usdts", keep(&usdts)}, {"lsmhooks", keep(&lsmhooks)},
		{"lists", keep(&lists)}, {"selectorsMacros", keep(&macros)}, {"enforcers", keep(&enforcers)},
		{"loader", func(n *yaml.Node) { p.loader = p.boolean(n) }},
		{"options", p.options},
		{"podSelector", selectPods(false)}, {"containerSelector", selectPods(true)},
		{"hostSelector", func(n *yaml.Node) { p.labels(n); p.hostToo = true }},
		{"nodeSelector", func(n *yaml.Node) {
			p.diags.Warnf(n.At, "the labels of nodes are not known here: the policy applies to this machine")
		}},
	})
	p.selectPods()
	p.readLists(lists)
	p.readMacros(macros)
	p.readEnforcers(enforcers)
	p.tracks = mentions(spec, "TrackSock")
	p.loaders(spec)
	for _, h := range []struct {
		list *yaml.Node
		kind hookKind
	}{{kprobes, kprobeHook}, {fentries, fentryHook}, {tracepoints, tracepointHook}, {uprobes, uprobeHook}, {usdts, usdtHook}, {lsmhooks, lsmHook}} {
		for _, n := range p.items(h.list) {
			if p.diags.Errors() > maxErrors {
				return
			}
			p.hook(n, h.kind)
		}
	}
}

// maxErrors is the number of errors after which no more hooks are read.
const maxErrors = 100

// mentions reports whether a value occurs somewhere in a tree.
func mentions(n *yaml.Node, value string) bool {
	if n == nil {
		return false
	}
	if n.Kind == yaml.Scalar && n.Value == value {
		return true
	}
	for _, item := range n.Items {
		if mentions(item, value) {
			return true
		}
	}
	for _, f := range n.Fields {
		if mentions(f.Value, value) {
			return true
		}
	}
	return false
}

// options reads the options of a policy.
func (p *policyReader) options(n *yaml.Node) {
	for _, o := range p.items(n) {
		name, value := "", &yaml.Node{}
		p.object(o, "an option", fields{
			{"name", func(n *yaml.Node) { name = p.text(n) }},
			{"value", func(n *yaml.Node) { value = n }},
		})
		switch name {
		case "policy-mode":
			switch value.Value {
			case "enforce", "enforcement":
			case "monitor", "monitoring":
				p.monitor = true
			default:
				p.diags.Errorf(value.At, "policy-mode is 'enforce' or 'monitor', not '%s'", value.Value)
			}
		case "disable-kprobe-multi", "disable-uprobe-multi", "disable-usdt-multi", "kprobe-multi", "sensors-pin", "override-method":
			// They choose an implementation, which gotrace chooses by the kernel.
		default:
			p.diags.Errorf(o.At, "the option '%s' is not known", name)
		}
	}
}
