package tetragon

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/policy/yaml"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/binary"
)

// locateCall determines the probes for a function, a system call or a list of them.
func (h *hook) locateCall(call string, hn *hookNode) bool {
	h.event.Kind, h.syscall = Kprobe, hn.syscall
	names := []string{call}
	if name, ok := strings.CutPrefix(call, "list:"); ok {
		l := h.p.lists[name]
		if l == nil {
			h.p.unknown(h.at, "the policy has no list", name, keys(h.p.lists))
			return false
		}
		names = l.names
		h.many = true
		h.syscall = l.syscalls
		if len(names) == 0 {
			return h.missing(hn, "the list '%s' has no function of this kernel", name)
		}
	}
	for _, name := range names {
		if h.syscall {
			h.locateSyscall(name, hn)
		} else {
			h.locateFunction(name, hn)
		}
	}
	if len(h.targets) > 1 {
		h.many = true
	} else if len(h.targets) == 1 {
		h.many = false
	}
	return len(h.targets) > 0
}

// syscallName returns the name of a system call without the prefixes of its function.
//
//go:noinline
func syscallName(name string) string {
	for _, prefix := range []string{"__x64_", "__arm64_"} {
		name = strings.TrimPrefix(name, prefix)
	}
	return strings.TrimPrefix(name, "sys_")
}

// locateSyscall adds the probes for a system call. All kernels have tracepoints for
// system calls, with their arguments.
func (h *hook) locateSyscall(name string, hn *hookNode) {
	k := h.p.terms.Kernel
	bare := syscallName(name)
	h.event.Function = "__x64_sys_" + bare
	if k.Arch() == "arm64" {
		h.event.Function = "__arm64_sys_" + bare
	}
	h.word, h.result = syscallArgs, "args.ret"
	h.calls = append(h.calls, bare)
	if h.override && h.p.canFail(h.event.Function) {
		h.targets = append(h.targets, "fmod_ret:"+h.event.Function)
		h.returns = append(h.returns, "kretprobe:"+h.event.Function)
		h.decides, h.result = true, "(int64)retval"
		return
	}
	if _, err := k.Tracepoint("syscalls", "sys_enter_"+bare); err == nil {
		h.targets = append(h.targets, "tracepoint:syscalls:sys_enter_"+bare)
		h.returns = append(h.returns, "tracepoint:syscalls:sys_exit_"+bare)
		return
	}
	if _, err := k.FuncProto("vmlinux", h.event.Function); err == nil && k.Has(probes.FeatKprobe) {
		h.targets = append(h.targets, "kprobe:"+h.event.Function)
		h.returns = append(h.returns, "kretprobe:"+h.event.Function)
		h.result = "(int64)retval"
		return
	}
	if h.many {
		h.p.diags.Warnf(h.at, "this kernel has no system call '%s': it is left out", bare)
		return
	}
	hint := ""
	if strings.HasPrefix(name, "sys_") {
		h.missing(hn, "this kernel has no system call '%s'", bare)
		return
	}
	if _, err := k.FuncProto("", name); err == nil {
		hint = "'" + name + "' is a function of the kernel: write syscall: false"
	}
	h.p.diags.ErrorHint(h.at, hint, "this kernel has no system call '%s'", bare)
}

// locateFunction adds the probes for a function of the kernel.
func (h *hook) locateFunction(name string, hn *hookNode) {
	k := h.p.terms.Kernel
	found, shift := h.p.renamed(name)
	proto, err := k.FuncProto("", found)
	_, symbol := k.Symbol(found)
	if err != nil && !symbol {
		switch {
		case h.many:
		case policy.Among(inlined, name):
			h.p.diags.Warnf(h.at, "this kernel has the function '%s' only inside its callers, where it cannot be watched: it is left out", name)
		default:
			h.missing(hn, "this kernel has no function '%s'", name)
		}
		return
	}
	h.event.Function = found
	if len(h.targets) > 0 {
		h.event.Function = ""
	}
	var params []param
	if err == nil {
		params = proto.Params
	}
	if h.override {
		if !strings.HasPrefix(found, "security_") && !h.p.canFail(found) || err != nil {
			h.missing(hn, "this kernel lets no program make the function '%s' fail", found)
			return
		}
		h.decides = true
		h.targets = append(h.targets, "fmod_ret:"+found)
		h.returns = append(h.returns, "kretprobe:"+found)
		h.word, h.result = named(params), "retval"
	} else if h.kind == fentryHook || !k.Has(probes.FeatKprobe) {
		if err != nil {
			h.missing(hn, "the types of the function '%s' are not known", found)
			return
		}
		h.targets = append(h.targets, "fentry:"+found)
		h.returns = append(h.returns, "fexit:"+found)
		h.word, h.result = named(params), "retval"
	} else {
		h.targets = append(h.targets, "kprobe:"+found)
		h.returns = append(h.returns, "kretprobe:"+found)
		h.word, h.result = typedArgs(params), "retval"
	}
	if found == packetFilter && !h.p.script.filters {
		h.p.script.filters = true
		h.p.add(source.Span{}, "// The kernel calls "+packetFilter+" only if there is a filter.\ncgroup_skb:ingress,\ncgroup_skb:egress\n{\n}\n\n")
	}
	if found == "tty_write" && len(params) == 2 {
		h.word = oldTTYWrite(h.word, hn.args)
	}
	if shift != 0 {
		word := h.word
		h.word = func(i int) (string, *param) { return word(i + shift) }
	}
}

// packetFilter is the kernel function that runs the cgroup filters for a packet.
const packetFilter = "__cgroup_bpf_run_filter_skb"

// oldTTYWrite returns the word of tty_write before Linux 5.12, whose arguments were the file,
// the address and the size, if the policy has the file as the first one.
func oldTTYWrite(word func(int) (string, *param), args *yaml.Node) func(int) (string, *param) {
	if args == nil || !slices.ContainsFunc(args.Items, func(n *yaml.Node) bool {
		return n.Get("index").Value == "0" && n.Get("type").Value == "file"
	}) {
		return word
	}
	file, _ := word(0)
	iter, _ := word(1)
	return func(i int) (string, *param) {
		if i < 0 || i > 2 {
			return "", nil
		}
		return []string{
			"((struct kiocb*)" + file + ").ki_filp", "tg_iter_at((struct iov_iter*)" + iter + ")", "tg_iter_len((struct iov_iter*)" + iter + ")",
		}[i], nil
	}
}

// typedArgs returns the function word of a hook whose arguments have numbers and may have
// known types.
func typedArgs(params []param) func(int) (string, *param) {
	return func(i int) (string, *param) {
		if i < 0 || params != nil && i >= len(params) {
			return "", nil
		}
		var p *param
		if i < len(params) {
			p = &params[i]
		}
		return "arg" + strconv.Itoa(i), p
	}
}

// aliases lists functions that have another name in other releases, and the difference
// between the argument indices of the second and the first.
var aliases = []struct {
	old, new string
	shift    int
}{
	{"security_bpf_map_alloc", "security_bpf_map_create", 0},
	{"security_bpf_prog_alloc", "security_bpf_prog_load", 0},
	{"kfree_skb_reason", "sk_skb_reason_drop", 1},
	{"security_sb_copy_data", "security_sb_eat_lsm_opts", 0},
	{"security_bprm_set_creds", "security_bprm_creds_for_exec", 0},
	{"__sk_free", "sk_free", 0},
	{"dev_queue_xmit", "__dev_queue_xmit", 0},
	{"do_filp_open", "do_file_open", 0},
	{"do_mkdirat", "filename_mkdirat", 0},
	{"do_rmdir", "filename_rmdir", 0},
	{"do_unlinkat", "filename_unlinkat", 0},
	{"do_linkat", "filename_linkat", 0},
	{"do_symlinkat", "filename_symlinkat", 0},
	{"do_renameat2", "filename_renameat2", 0},
	{"do_execveat_common", "do_execveat_common.isra.0", 0},
	{"find_module_sections", "find_module_sections.isra.0", 0},
}

// inlined are functions that newer kernels have only inlined in their callers, where they
// cannot be probed.
var inlined = []string{"find_module_sections", "override_creds", "revert_creds", "get_task_cred", "fdget", "task_euid"}

// renamed returns the name that a function has on this kernel.
func (p *policyReader) renamed(name string) (string, int) {
	known := func(name string) bool {
		if _, err := p.terms.Kernel.FuncProto("", name); err == nil {
			return true
		}
		_, ok := p.terms.Kernel.Symbol(name)
		return ok
	}
	is := known(name)
	for _, a := range aliases {
		if a.new == name {
			a.old, a.new, a.shift = a.new, a.old, -a.shift
		}
		// Inlined functions may still have a symbol, but cannot be probed.
		if a.old == name && known(a.new) && (!is || !p.traceable(name) && p.traceable(a.new)) {
			return a.new, a.shift
		}
	}
	return name, 0
}

// traceable reports whether a function is in the kernel's list of traceable functions.
func (p *policyReader) traceable(name string) bool {
	list, _ := p.terms.Kernel.Functions()
	return slices.ContainsFunc(list, func(f string) bool { return strings.HasSuffix(f, ":"+name) })
}

// locateTracepoint determines the probe for a tracepoint. The first four fields of a
// record, which all have, count in the indices of arguments.
func (h *hook) locateTracepoint(subsystem, event string, hn *hookNode) bool {
	if subsystem == "" || event == "" {
		return false
	}
	k := h.p.terms.Kernel
	h.event.Kind, h.event.Subsys, h.event.Event = Tracepoint, subsystem, event
	if hn.raw {
		h.targets = []string{"rawtracepoint:" + event}
		proto, err := k.TracepointProto("", event)
		if err != nil {
			return h.missing(hn, "this kernel has no tracepoint '%s'", event)
		}
		h.word = named(proto.Params)
		return true
	}
	format, err := k.Tracepoint(subsystem, event)
	if err != nil {
		return h.missing(hn, "this kernel has no tracepoint '%s:%s'", subsystem, event)
	}
	h.targets = []string{"tracepoint:" + subsystem + ":" + event}
	fields := named(format.Fields)
	h.word = func(i int) (string, *param) {
		if i < 4 {
			return "", nil
		}
		return fields(i - 4)
	}
	return true
}

// locateUprobe determines the probes in a program.
func (h *hook) locateUprobe(path string, hn *hookNode) bool {
	if path == "" || !h.checkDigest(path, hn.digests) {
		return false
	}
	if _, err := os.Stat(path); err != nil && h.p.terms.SkipUnsupported {
		return h.missing(hn, "the file '%s' cannot be found", path)
	}
	h.event.Kind, h.event.Path = Uprobe, path
	h.word, h.result = numberedArgs, "retval"
	var places []string
	functions := map[string]string{} // function names by place; "" if an address is not the start of a function
	for _, w := range h.p.values(hn.symbols) {
		places = append(places, w.text)
		functions[w.text] = w.text
	}
	for _, list := range []*yaml.Node{hn.offsets, hn.addrs} {
		for _, n := range h.p.items(list) {
			place, name := h.address(path, uint64(h.p.integer(n)), list == hn.offsets)
			places = append(places, place)
			functions[place] = name
		}
	}
	if len(places) == 0 {
		h.p.diags.ErrorHint(h.at, "'symbols' or 'offsets'", "the uprobe has no place in '%s'", path)
		return false
	}
	counters := h.p.items(hn.refs)
	if len(counters) != 0 && len(counters) != len(places) {
		h.p.diags.Errorf(hn.refs.At, "there are %d reference counters for %d places", len(counters), len(places))
		return false
	}
	h.many = len(places) > 1
	for i, place := range places {
		if f := functions[place]; f != "" {
			h.returns = append(h.returns, "uretprobe:"+target(path)+":"+target(f))
		}
		if i < len(counters) {
			if n := uint64(h.p.integer(counters[i])); n != 0 {
				h.event.count(place, n)
				place += "(" + strconv.FormatUint(n, 10) + ")"
			}
		}
		h.targets = append(h.targets, "uprobe:"+target(path)+":"+target(place))
	}
	if !h.many {
		h.event.Symbol = places[0]
	}
	if len(h.returns) != len(places) {
		h.returns = nil // the start of a function is needed to see when it returns
	}
	return true
}

// address returns the address of a place in a program, which may be given as offset in the
// file, and the function that starts there, or "".
func (h *hook) address(path string, at uint64, offset bool) (place, function string) {
	x, err := binary.Open(path)
	if err != nil {
		return strconv.FormatUint(at, 10), "" // attaching the probe reports it
	}
	defer x.Close()
	if addr, ok := x.Addr(at); ok && offset {
		if h.event.Offsets == nil {
			h.event.Offsets = map[string]uint64{}
		}
		h.event.Offsets[strconv.FormatUint(addr, 10)] = at
		at = addr
	}
	if s, ok := x.At(at); ok && s.Addr == at {
		function = s.Name
	}
	return strconv.FormatUint(at, 10), function
}

// checkDigest checks that a program has one of the digests that a policy permits.
func (h *hook) checkDigest(path string, n *yaml.Node) bool {
	digests := h.p.values(n)
	if len(digests) == 0 {
		return true
	}
	f, err := os.Open(path)
	if err != nil {
		return true // attaching the probe reports it
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return true
	}
	is := hex.EncodeToString(sum.Sum(nil))
	for _, d := range digests {
		kind, text, ok := strings.Cut(strings.ToLower(d.text), ":")
		if !ok {
			kind, text = "sha256", kind
		}
		if kind != "sha256" || len(text) != len(is) {
			h.p.unsupported(d.at, "'%s' is not a digest of SHA-256, such as sha256:%s", d.text, is)
			return false
		}
		if text == is {
			return true
		}
	}
	h.p.unsupported(n.At, "the digest of '%s' is sha256:%s, which is not among those of the policy", path, is)
	return false
}
