package tetragon

import (
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/policy/yaml"
	"github.com/gotrace/gotrace/lang/source"
)

// maxSelectors is the maximum number of selectors of a hook.
const maxSelectors = 5

// selector is one of the selectors of a hook: conditions, and what to do if they hold.
type selector struct {
	at      source.Span
	cheap   []string // conditions on numbers
	dear    []string // conditions on paths and strings
	result  []string // conditions on the result
	before  []string // statements before the conditions
	actions []*action
	later   []*action // statements at the return of the function, if the result matches
	broad   int       // number of conditions that hold for nearly all processes of the machine
	negated int       // number of conditions that hold for many, such as all programs but some
	doors   int       // number of conditions that hold for programs that let the user in
	numeric int       // number of other conditions on numbers, such as descriptors and flags
}

// silent reports whether the selector sends no events.
func (s *selector) silent() bool {
	return slices.ContainsFunc(s.actions, func(a *action) bool { return a.name == "NoPost" })
}

// essential are system calls, security hooks, kernel functions and events that occur in
// every program.
var essential = strings.Fields("open openat openat2 read write close mmap munmap mprotect brk execve execveat clone clone3 fork vfork wait4 futex newfstat newfstatat " +
	"exit exit_group rt_sigaction rt_sigprocmask rt_sigreturn arch_prctl set_robust_list fcntl poll ppoll epoll_wait epoll_pwait clock_nanosleep " +
	"file_open file_permission inode_permission inode_getattr mmap_file mmap_addr file_mprotect task_alloc cred_prepare bprm_creds_for_exec bprm_check bprm_check_security bprm_creds_from_file " +
	"vfs_read vfs_write vfs_open fd_install do_filp_open do_file_open do_sys_openat2 ksys_read ksys_write filp_close do_exit do_group_exit handle_mm_fault do_mmap wake_up_new_task commit_creds " +
	"sched_process_exec sched_process_exit sched_process_fork sched_switch sched_wakeup task_newtask task_rename")

// useful are further system calls, security hooks and functions, without which no one can log in or
// end gotrace.
var useful = strings.Fields("accept accept4 socket recvfrom recvmsg sendto sendmsg select pselect6 ioctl dup dup2 dup3 pipe pipe2 setuid setgid setresuid setresgid " +
	"setgroups setsid kill getdents64 readlink getrandom chdir socketpair task_kill capable socket_accept socket_recvmsg socket_sendmsg socket_create task_fix_setuid task_fix_setgid task_fix_setgroups " +
	"inet_csk_accept tcp_v4_rcv tcp_v6_rcv tcp_sendmsg tcp_recvmsg")

// isAmong reports whether a system call, a function or an event is in a list.
//
//go:noinline
func isAmong(list []string, call string) bool {
	for _, prefix := range []string{"security_", "sys_enter_", "sys_exit_"} {
		call = strings.TrimPrefix(call, prefix)
	}
	return policy.Among(list, call)
}

// all reports whether an operator on texts is true for all paths.
func all(op string, values []string) bool {
	return (strings.HasSuffix(op, "fix") || strings.HasPrefix(op, "SubString")) && !strings.HasPrefix(op, "Not") && policy.Among(values, "") ||
		(op == "Prefix" || op == "SubString") && policy.Among(values, "/")
}

// checkLockout refuses a selector that may kill any process of the machine, or those that
// let the user in, or make calls fail that all processes need, since the machine could
// become unusable. At calls that many processes make, conditions that hold for many
// processes do not count.
func (h *hook) checkLockout(s *selector) {
	p := h.p
	at := func(list []string) bool {
		in := func(call string) bool { return isAmong(list, call) }
		return in(h.event.Function) || slices.ContainsFunc(h.calls, in) || in(h.event.Event)
	}
	everywhere := h.event.Subsys == "raw_syscalls" || at(essential)
	often := everywhere || at(useful)
	weak := s.broad
	if often {
		weak += s.negated + s.doors
	}
	if everywhere && h.event.Subsys != "raw_syscalls" { // its arguments include the number of the call
		weak += s.numeric
	}
	ofProgram := (h.kind == uprobeHook || h.kind == usdtHook) && !strings.Contains(h.event.Path, ".so") && !p.machine.isDoor("Equal", h.event.Path)
	if !p.unsafe() || p.within() != "" && !p.hostToo || ofProgram || len(s.cheap)+len(s.dear)+len(s.result) > weak || policy.Among(p.terms.MayLockOut, p.name) {
		return
	}
	for _, a := range slices.Concat(s.actions, s.later) {
		switch {
		case a.name == "Sigkill" || a.signal != 0:
		case a.name == "Override" && (often || h.kind == uprobeHook):
		case a.name == "NotifyEnforcer" && slices.ContainsFunc(p.calls, func(c string) bool { return isAmong(essential, syscallName(c)) || isAmong(useful, syscallName(c)) }):
		default:
			continue
		}
		p.diags.ErrorHint(a.at, "add a condition, or if that is what you want: --may-lock-out "+p.name,
			"the action %s is for all processes of the machine here, and may make it unusable", a.name)
		return
	}
}

// readSelectors reads the selectors of a hook.
func (h *hook) readSelectors(n *yaml.Node) {
	items := h.p.items(n)
	if len(items) > maxSelectors {
		h.p.diags.Errorf(items[maxSelectors].At, "a hook has at most %d selectors", maxSelectors)
		return
	}
	for _, item := range items {
		s := &selector{at: item.At}
		h.selectors = append(h.selectors, s)
		h.selector(item, s, false)
		h.checkLockout(s)
	}
	if len(items) == 0 {
		h.selectors = []*selector{{at: h.at}}
	}
}

// each returns a function that reads the items of a list.
//
//go:noinline
func (p *policyReader) each(read func(*yaml.Node)) func(*yaml.Node) {
	return func(n *yaml.Node) {
		for _, item := range p.items(n) {
			read(item)
		}
	}
}

// selector reads a selector, or a macro that a selector includes.
func (h *hook) selector(n *yaml.Node, s *selector, macro bool) {
	p := h.p
	fs := fields{
		{"matchArgs", p.each(func(n *yaml.Node) { h.matchArg(n, s, h.args) })},
		{"matchData", p.each(func(n *yaml.Node) { h.matchArg(n, s, h.data) })},
		{"matchReturnArgs", p.each(func(n *yaml.Node) {
			if h.ret == nil {
				p.diags.Errorf(n.At, "the hook has no 'returnArg' to match")
				return
			}
			h.matchArg(n, s, nil)
		})},
		{"matchPIDs", p.each(func(n *yaml.Node) { h.matchPIDs(n, s) })},
		{"matchBinaries", p.each(func(n *yaml.Node) { h.matchBinaries(n, s, false) })},
		{"matchParentBinaries", p.each(func(n *yaml.Node) { h.matchBinaries(n, s, true) })},
		{"matchNamespaces", p.each(func(n *yaml.Node) { h.matchNamespaces(n, s) })},
		{"matchNamespaceChanges", p.each(func(n *yaml.Node) { h.matchNamespaceChanges(n, s) })},
		{"matchCapabilities", p.each(func(n *yaml.Node) { h.matchCapabilities(n, s, false) })},
		{"matchCapabilityChanges", p.each(func(n *yaml.Node) { h.matchCapabilities(n, s, true) })},
		{"matchWorkloads", p.refuse("selectors of workloads")},
	}
	if !macro {
		fs = append(fs, field{"label", nil}, field{"macros", p.each(func(n *yaml.Node) {
			m := p.macros[n.Value]
			if m == nil {
				p.unknown(n.At, "there is no selector macro", n.Value, keys(p.macros))
				return
			}
			h.selector(m, s, true)
		})}, field{"matchActions", p.each(func(n *yaml.Node) {
			if a := h.action(n); a != nil {
				s.actions = append(s.actions, a)
			}
		})}, field{"matchReturnActions", p.each(func(n *yaml.Node) {
			a := h.action(n)
			if a == nil {
				return
			}
			if a.name == "Override" || a.name == "NotifyEnforcer" {
				p.unsupported(a.at, "the action %s is not supported when the function has returned", a.name)
			}
			s.later = append(s.later, a)
		})})
	}
	p.object(n, "a selector", fs)
}

// operands are the parts of a condition in a policy.
type operands struct {
	at, opAt source.Span
	operator string
	values   []word
	node     *yaml.Node // of the values
}

// condition reads an operator with its values, and the other fields in fs.
func (h *hook) condition(n *yaml.Node, what string, fs fields) (o operands, ok bool) {
	o = operands{at: n.At, opAt: n.At, node: n}
	all := fields{
		{"operator", func(n *yaml.Node) { o.operator, o.opAt = h.p.text(n), n.At }},
		{"values", func(n *yaml.Node) { o.node, o.values = n, h.p.values(n) }},
	}
	if !h.p.object(n, what, append(all, fs...)) {
		return o, false
	}
	if o.operator == "" {
		h.p.diags.Errorf(n.At, "%s needs an operator", what)
		return o, false
	}
	return o, true
}

// indexed returns the place of the argument with an index, or -1.
func indexed(args []*arg, index int) int {
	return slices.IndexFunc(args, func(a *arg) bool { return a.index == index })
}

// listed returns the place of the argument that an entry of 'args' names: its place in the
// policy or, if there are not so many, its index. It returns -1 if there is none.
func listed(args []*arg, n int) int {
	if 0 <= n && n < len(args) {
		return n
	}
	return indexed(args, n)
}

// matchArg adds the condition on an argument, or on the result if args is nil.
func (h *hook) matchArg(n *yaml.Node, s *selector, args []*arg) {
	index, indices := 0, []*yaml.Node(nil)
	o, ok := h.condition(n, "a match of an argument", fields{
		{"index", func(n *yaml.Node) { index = int(h.p.integer(n)) }},
		{"args", func(n *yaml.Node) { indices = h.p.items(n) }},
	})
	if !ok {
		return
	}
	if negations[o.operator] != "" {
		s.negated++
	} else if all(o.operator, o.texts()) {
		s.broad++
	}
	if args == nil {
		h.compare(h.ret, &o, &s.result, &s.result)
		return
	}
	if o.operator == "CelExpr" {
		h.celCondition(&o, s, args, indices)
		return
	}
	i := -1
	if len(indices) > 0 {
		index = int(h.p.integer(indices[0]))
		i = listed(args, index)
		if len(indices) > 1 {
			h.p.diags.Errorf(o.at, "the operator %s compares one argument: 'args' has %d", o.operator, len(indices))
		}
	}
	if i < 0 {
		i = indexed(args, index)
	}
	if i < 0 && h.kind == tracepointHook && 0 <= index && index < len(args) {
		i = index // policies may also number the arguments that they list
	}
	if i < 0 {
		h.p.diags.Errorf(o.at, "the hook has no argument with the index %d", index)
		return
	}
	if args[i].late {
		h.p.unsupported(o.at, "an argument that is read when the function returns cannot be matched")
		return
	}
	if args[i].t.class == numberClass && negations[o.operator] == "" {
		s.numeric++
	}
	h.compare(args[i], &o, &s.cheap, &s.dear)
}
