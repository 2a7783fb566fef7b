package tetragon

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/lang/policy/yaml"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
)

type hookKind uint8

const (
	kprobeHook hookKind = iota
	fentryHook
	tracepointHook
	uprobeHook
	usdtHook
	lsmHook
)

// hook is one hook of a policy: its functions or events, and its actions.
type hook struct {
	p       *policyReader
	at      source.Span // span of the name of the function or event
	kind    hookKind
	event   Event
	targets []string // probes, such as kprobe:name
	returns []string // probes for when they return; parallel to targets
	syscall bool
	args    []*arg
	data    []*arg
	ret     *arg
	// word returns the expression of the argument with an index, and its type if it is
	// known.
	word      func(index int) (string, *param)
	result    string // the expression of the result in the probes in returns
	retAction string
	selectors []*selector
	many      bool                                   // the record needs the name of the probe
	id        int                                    // number of the event
	decides   bool                                   // the probes can make the call fail
	calls     []string                               // names of the system calls
	kept      []string                               // expressions of the variables $v0, $v1 …
	override  bool                                   // the policy makes the call fail
	typesIn   func(name string) (*types.Type, error) // the file with the types of the program, or nil
	denies    []int                                  // errors with which the probes in targets make the call fail
}

// hookNode holds the parts of a hook as they are in the file.
type hookNode struct {
	call, args, data, returnArg, selectors, subsystem, name, path, provider *yaml.Node
	symbols, offsets, addrs, refs, digests                                  *yaml.Node
	syscall, ret, raw, ignore                                               bool
	retAction                                                               *yaml.Node
}

// keep returns a function that stores a node.
//
//go:noinline
func keep(to **yaml.Node) func(*yaml.Node) { return func(n *yaml.Node) { *to = n } }

// hook reads a hook and writes its probes.
func (p *policyReader) hook(n *yaml.Node, kind hookKind) {
	h := &hook{p: p, at: n.At, kind: kind}
	h.event.Policy = p.name
	hn := &hookNode{syscall: true}
	fs := fields{
		{"message", func(n *yaml.Node) { h.event.Message = n.Value }},
		{"tags", func(n *yaml.Node) {
			for _, w := range p.values(n) {
				h.event.Tags = append(h.event.Tags, w.text)
			}
		}},
		{"args", keep(&hn.args)}, {"selectors", keep(&hn.selectors)},
	}
	add := func(more fields) { fs = append(fs, more...) }
	returns := fields{
		{"return", func(n *yaml.Node) { hn.ret = p.boolean(n) }},
		{"returnArg", keep(&hn.returnArg)}, {"returnArgAction", keep(&hn.retAction)},
		{"data", keep(&hn.data)},
		{"ignore", func(n *yaml.Node) {
			p.object(n, "'ignore'", fields{{"callNotFound", func(n *yaml.Node) { hn.ignore = p.boolean(n) }}})
		}},
	}
	what := ""
	switch kind {
	case kprobeHook, fentryHook:
		what = "a kprobe"
		add(returns)
		add(fields{{"call", keep(&hn.call)}, {"syscall", func(n *yaml.Node) { hn.syscall = p.boolean(n) }}})
		if kind == fentryHook {
			what, hn.syscall = "a fentry", true
		}
	case tracepointHook:
		what = "a tracepoint"
		add(fields{{"subsystem", keep(&hn.subsystem)}, {"event", keep(&hn.name)}, {"raw", func(n *yaml.Node) { hn.raw = p.boolean(n) }}})
	case uprobeHook:
		what = "an uprobe"
		add(returns)
		add(fields{{"path", keep(&hn.path)}, {"symbols", keep(&hn.symbols)}, {"offsets", keep(&hn.offsets)}, {"addrs", keep(&hn.addrs)},
			{"refCtrOffsets", keep(&hn.refs)}, {"btfPath", h.readTypes}, {"binaryDigests", keep(&hn.digests)}})
	case usdtHook:
		what = "a USDT probe"
		add(fields{{"path", keep(&hn.path)}, {"provider", keep(&hn.provider)}, {"name", keep(&hn.name)}, {"btfPath", h.readTypes}})
	case lsmHook:
		what = "an LSM hook"
		add(fields{{"hook", keep(&hn.call)}})
	}
	refused, wrong := p.refused, p.diags.Errors()
	if !p.object(n, what, fs) || !h.locate(n, hn) {
		return
	}
	for _, step := range []func(){
		func() { h.arguments(hn) },
		func() { h.readSelectors(hn.selectors) },
		func() { h.write(refused) },
	} {
		if step(); p.refused > refused || p.diags.Errors() > wrong {
			return
		}
	}
}

// refuse returns a reader of a part that gotrace does not support.
//
//go:noinline
func (p *policyReader) refuse(what string) func(*yaml.Node) {
	return func(n *yaml.Node) { p.unsupported(n.At, "%s are not supported", what) }
}

// unsupported reports something that gotrace does not support. The hook that is being read
// is left out.
//
//go:noinline
func (p *policyReader) unsupported(at source.Span, format string, args ...any) {
	p.refused++
	p.terms.Unsupported(p.diags, at, format, args...)
}

// locate determines the probes of a hook. It returns false if there are none.
func (h *hook) locate(n *yaml.Node, hn *hookNode) bool {
	need := func(n2 *yaml.Node, key string) string {
		if n2 == nil || h.p.text(n2) == "" {
			h.p.diags.Errorf(n.At, "this hook has no '%s'", key)
			return ""
		}
		h.at = n2.At
		return h.p.text(n2)
	}
	switch h.kind {
	case kprobeHook, fentryHook:
		call := need(hn.call, "call")
		h.override = hn.selectors != nil && mentions(hn.selectors, "Override") && h.p.unsafe()
		return call != "" && h.locateCall(call, hn)
	case lsmHook:
		name := need(hn.call, "hook")
		if name == "" {
			return false
		}
		name = strings.TrimPrefix(strings.TrimPrefix(name, "bpf_lsm_"), "security_")
		h.event.Kind, h.event.Function = LSM, name
		proto, err := h.p.terms.Kernel.FuncProto("vmlinux", "bpf_lsm_"+name)
		if err != nil {
			return h.missing(hn, "this kernel has no security hook '%s'", name)
		}
		h.targets, h.decides = []string{"lsm:" + name}, true
		h.override = hn.selectors != nil && mentions(hn.selectors, "Override") && h.p.unsafe()
		h.word = named(proto.Params)
	case tracepointHook:
		return h.locateTracepoint(need(hn.subsystem, "subsystem"), need(hn.name, "event"), hn)
	case uprobeHook:
		return h.locateUprobe(need(hn.path, "path"), hn)
	case usdtHook:
		path, provider, name := need(hn.path, "path"), need(hn.provider, "provider"), need(hn.name, "name")
		if path == "" || provider == "" || name == "" {
			return false
		}
		h.event.Kind, h.event.Path, h.event.Provider, h.event.Symbol = Usdt, path, provider, name
		h.targets = []string{"usdt:" + target(path) + ":" + target(provider) + ":" + target(name)}
		h.word = numberedArgs
	}
	return true
}

// target returns a part of an attach point, quoted if necessary.
func target(s string) string {
	for _, c := range []byte(s) {
		if !isWord(c) && !strings.ContainsRune("/.-+", rune(c)) {
			return source.Quote(s)
		}
	}
	return s
}

// missing reports that the kernel lacks a hook, unless the policy permits that. It returns
// false.
func (h *hook) missing(hn *hookNode, format string, args ...any) bool {
	if hn.ignore {
		h.p.diags.Warnf(h.at, format+": it is left out", args...)
		return false
	}
	h.p.unsupported(h.at, format, args...)
	return false
}

// typeOf returns the policy type that fits a parameter.
func typeOf(p *param) string {
	if p == nil {
		return "uint64"
	}
	t := p.Type
	if t.Kind == types.Struct { // as the type of its address
		t = &types.Type{Kind: types.Pointer, Elem: t}
	}
	switch {
	case t.Kind == types.String || t.Kind == types.Array && t.Elem.Size == 1 || p.Recorded():
		return "string"
	case t.Kind == types.Pointer:
		elem := t.Elem
		if elem.Size == 1 && elem.IsInteger() {
			return "string"
		}
		name := elem.Name[strings.LastIndexByte(elem.Name, ' ')+1:]
		switch name {
		case "sk_buff":
			return "skb"
		case "sock", "socket", "sockaddr", "sockaddr_un", "file", "filename", "path", "dentry", "linux_binprm", "kiocb", "iov_iter",
			"bpf_attr", "bpf_map", "bpf_prog", "perf_event", "user_namespace", "cred", "load_info", "module", "net_device", "kernel_cap_t":
			return name
		}
		return "uint64"
	case t.Kind == types.Array:
		return typeOf(&param{Type: t.Elem})
	case t.IsInteger():
		return map[bool]map[int]string{
			true:  {1: "int8", 2: "int16", 4: "int32", 8: "int64"},
			false: {1: "uint8", 2: "uint16", 4: "uint32", 8: "uint64"},
		}[t.Signed][t.Size]
	}
	return "uint64"
}

// isText reports whether a field of a tracepoint is already a string in the script.
func isText(p *param) bool {
	return p.Recorded() && p.Type.Kind == types.String
}

// param is a parameter of a function, or a field of a tracepoint.
type param = types.Field

// named returns the function word of a hook whose arguments have names.
//
//go:noinline
func named(params []param) func(int) (string, *param) {
	return func(i int) (string, *param) {
		if i < 0 || i >= len(params) {
			return "", nil
		}
		return "args." + params[i].Name, &params[i]
	}
}

func numberedArgs(i int) (string, *param) { return "arg" + strconv.Itoa(i), nil }

func syscallArgs(i int) (string, *param) {
	if i > 5 {
		return "", nil
	}
	return fmt.Sprintf("syscall_arg(%d)", i), nil
}
