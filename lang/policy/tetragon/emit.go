package tetragon

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// body builds the text of a probe.
type body struct {
	bytes.Buffer
	depth int
}

func (b *body) line(format string, args ...any) {
	b.WriteString(strings.Repeat("  ", b.depth))
	fmt.Fprintf(b, format+"\n", args...)
}

//go:noinline
func (b *body) open(format string, args ...any) {
	b.line(format+" {", args...)
	b.depth++
}

//go:noinline
func (b *body) close() {
	b.depth--
	b.line("}")
}

// write adds the probes of a hook, unless a part of it was refused.
func (h *hook) write(refused int) {
	p := h.p
	h.id = len(p.t.Events)
	ev := h.event
	for _, a := range slices.Concat(h.args, h.data) {
		if a.t.show != ShowNothing {
			shown := a.shown
			shown.Late = a.late
			ev.Args = append(ev.Args, shown)
		}
	}
	for _, s := range h.selectors {
		ev.Outcomes = append(ev.Outcomes, h.outcome(s))
		for _, a := range s.actions {
			ev.KernelStack = ev.KernelStack || a.kernelStack
			ev.UserStack = ev.UserStack || a.userStack
		}
	}
	if h.many {
		ev.Function, ev.Symbol = "", ""
	}
	if h.resultsDecide() {
		ev.Kept++
	}
	for _, a := range h.args {
		if a.late {
			ev.Kept += 2
		}
	}
	h.event = ev
	p.t.Events = append(p.t.Events, &ev)

	probes := []part{{h.at, strings.Join(h.targets, ",\n"), nil, h.entry()}}
	if h.ret != nil || h.hasLate() {
		probes = append(probes, part{h.at, strings.Join(h.returns, ",\n"), nil, h.leave()})
	}
	if p.refused > refused {
		p.t.Events = p.t.Events[:h.id]
		return
	}
	probes[0].denies = h.denies
	p.parts = append(p.parts, probes...)
}

func (h *hook) hasLate() bool {
	return slices.ContainsFunc(h.args, func(a *arg) bool { return a.late })
}

// outcome describes what a selector does.
func (h *hook) outcome(s *selector) (o Outcome) {
	name := func(list []*action) string {
		name := "Post"
		for _, a := range list {
			if a.name != "Post" {
				name = a.name
			}
			if a.decides() && !h.p.unsafe() {
				o.Audit = true
			}
		}
		return "KPROBE_ACTION_" + actionNames.Get()[name]
	}
	o.Action = name(s.actions)
	if len(s.later) > 0 {
		o.ReturnAction = name(s.later)
	} else if h.retAction != "" {
		o.ReturnAction = "KPROBE_ACTION_" + actionNames.Get()[h.retAction]
	}
	for _, a := range s.actions {
		o.KernelStack = o.KernelStack || a.kernelStack
		o.UserStack = o.UserStack || a.userStack
		o.Hash = o.Hash || a.hash
		if a.name == "GetUrl" {
			o.URLs = append(o.URLs, a.url)
		}
		if a.name == "DnsLookup" {
			o.Names = append(o.Names, a.fqdn)
		}
	}
	return o
}

// conditions returns the conditions of a selector, joined.
func (s *selector) conditions() string { return strings.Join(slices.Concat(s.cheap, s.dear), " && ") }

// entry returns the statements that run when the function is called.
func (h *hook) entry() string {
	b := &body{depth: 1}
	if self := h.p.terms.Self; self != 0 && h.ofSyscall() {
		b.open("if (pid != %d)", self)
	}
	if within := h.p.within(); within != "" {
		b.open("if (%s)", within)
	}
	for _, a := range slices.Concat(h.args, h.data) {
		if a.variable != "" && a.t.show != ShowNothing {
			b.line("let %s = %s;", a.variable, h.cast(a))
		}
	}
	for _, s := range h.selectors {
		for _, line := range s.before {
			b.line("%s", line)
		}
	}
	h.guard(b)
	for i, expr := range h.kept {
		b.line("let $v%d = %s;", i, expr)
	}
	b.line("let $s = 0;")
	h.choose(b)
	h.act(b)
	h.post(b)
	for b.depth > 1 {
		b.close()
	}
	return b.String()
}

// ofSyscall reports whether the hook runs for system calls of the current process.
func (h *hook) ofSyscall() bool {
	return h.syscall && h.kind == kprobeHook || h.event.Subsys == "raw_syscalls" || h.event.Subsys == "syscalls"
}

// cast returns the expression of an argument's variable.
func (h *hook) cast(a *arg) string {
	if a.t.c == "" {
		return "(uint64)" + a.word
	}
	if a.whole {
		return a.word
	}
	return "(" + a.t.c + ")" + a.word
}

// guard opens a block that runs if the conditions on numbers of one of the selectors hold, so
// that paths and strings are read only then.
func (h *hook) guard(b *body) {
	if len(h.kept) == 0 {
		return
	}
	var any []string
	for _, s := range h.selectors {
		if len(s.cheap) == 0 {
			return
		}
		any = append(any, "("+strings.Join(s.cheap, " && ")+")")
	}
	b.open("if (%s)", strings.Join(any, " || "))
}

// choose writes the statements that find the first selector that matches. If results
// decide too, $m has a bit for each selector that matches so far.
func (h *hook) choose(b *body) {
	if h.resultsDecide() {
		b.line("let $m = 0;")
		for i, s := range h.selectors {
			bit := fmt.Sprintf("$m |= %d;", 1<<i)
			if cond := s.conditions(); cond != "" {
				b.open("if (%s)", cond)
				b.line("%s", bit)
				b.close()
			} else {
				b.line("%s", bit)
			}
		}
		for i := range h.selectors {
			b.open("if ($s == 0 && ($m & %d) != 0)", 1<<i)
			b.line("$s = %d;", i+1)
			b.close()
		}
		return
	}
	depth := b.depth
	for i, s := range h.selectors {
		cond := s.conditions()
		if len(h.kept) > 0 && len(h.selectors) == 1 && len(s.cheap) > 0 {
			cond = strings.Join(s.dear, " && ") // guard has tested the other conditions
		}
		if cond == "" {
			b.line("$s = %d;", i+1)
			break
		}
		b.open("if (%s)", cond)
		b.line("$s = %d;", i+1)
		if i+1 < len(h.selectors) {
			b.depth--
			b.line("} else {")
			b.depth++
		}
	}
	for b.depth > depth {
		b.close()
	}
}

// resultsDecide reports whether the result of the function decides which selector matches.
//
//go:noinline
func (h *hook) resultsDecide() bool {
	return slices.ContainsFunc(h.selectors, func(s *selector) bool { return len(s.result) > 0 })
}

// act writes the actions of the selectors.
func (h *hook) act(b *body) {
	for i, s := range h.selectors {
		inner := &body{depth: b.depth + 1}
		for _, a := range s.actions {
			h.do(inner, a)
		}
		silent := s.silent()
		if silent && h.retAction == "" {
			inner.line("$s = 0;")
		}
		for _, a := range s.actions {
			if a.rate > 0 && !silent {
				inner.line("let $in%d = false;", i)
				inner.open("if (limit(%s%ds))", h.limitKeys(a, i), a.rate)
				inner.line("$in%d = true;", i)
				inner.close()
				inner.open("if (!$in%d)", i)
				inner.line("$s = 0;")
				inner.close()
				break
			}
		}
		b.selected(i, inner)
	}
}

// selected writes what to do if selector i has decided, unless that is nothing.
func (b *body) selected(i int, inner *body) {
	if inner.Len() > 0 {
		b.open("if ($s == %d)", i+1)
		b.WriteString(inner.String())
		b.close()
	}
}

// limitKeys returns the keys of a rate limit: the thread, and the beginning of the
// arguments.
func (h *hook) limitKeys(a *action, selector int) string {
	keys := []string{fmt.Sprint(h.id*maxSelectors + selector)}
	switch a.scope {
	case "", "thread":
		keys = append(keys, "tid")
	case "process":
		keys = append(keys, "curtask.tgid")
	}
	for _, arg := range h.args {
		switch {
		case arg.late || arg.t.show == ShowNothing:
		case arg.t.class == numberClass:
			keys = append(keys, arg.expr())
		case arg.t.class == textClass && strings.Contains(arg.value, "path("):
			keys = append(keys, strings.Replace(arg.value, "path("+arg.variable, "path("+arg.variable, 1))
		}
	}
	for i, k := range keys {
		if strings.HasPrefix(k, "path(") && strings.HasSuffix(k, ")") {
			keys[i] = k[:len(k)-1] + ", 200)"
		}
	}
	for _, arg := range h.args {
		if arg.late || arg.t.show == ShowNothing || arg.t.class == numberClass || strings.Contains(arg.value, "path(") {
			continue
		}
		switch arg.t.class {
		case textClass:
			if arg.variable != "" && arg.t.c == "" {
				keys = append(keys, "tg_head("+arg.variable+")")
			}
		default:
			for _, f := range arg.t.fields {
				if !strings.Contains(f, "str(") && !strings.Contains(f, "tg_vec") {
					keys = append(keys, fill(f, arg.variable, arg.value, arg.size))
				}
			}
		}
	}
	return strings.Join(keys, ", ") + ", "
}

// expr returns the expression of an argument's value.
func (a *arg) expr() string {
	if a.valueVar != "" {
		return a.valueVar
	}
	return a.value
}

// do writes the statements for an action.
func (h *hook) do(b *body, a *action) {
	switch a.name {
	case "TrackSock", "UntrackSock":
		i := slices.IndexFunc(h.args, func(x *arg) bool { return x.index == a.sock })
		if i < 0 || h.args[i].t.show != ShowSock {
			h.p.diags.Errorf(a.at, "the hook has no argument of the type sock with the index %d", a.sock)
			return
		}
		if a.name == "TrackSock" {
			b.line("@tg_sock[(uint64)%s] = (curtask.tgid, curtask.pid, curtask.group_leader.start_boottime);", h.args[i].variable)
		} else {
			b.line("delete(@tg_sock, (uint64)%s);", h.args[i].variable)
		}
		return
	}
	if !a.decides() || !h.p.unsafe() {
		return
	}
	errno := a.errno
	if errno < 0 {
		errno = -errno
	}
	switch a.name {
	case "Sigkill":
		b.line(`signal("SIGKILL");`)
	case "Signal":
		b.line("signal(%d);", a.signal)
	case "Override":
		if len(a.registers) > 0 && (h.ret != nil || h.hasLate()) {
			// The kernel would replace another word of the stack than the return address.
			h.p.unsupported(a.at, "the action Override of a uprobe cannot be in a hook that reports the result of the function")
			return
		} else if len(a.registers) > 0 {
			for _, r := range a.registers {
				b.line("%s", r)
			}
			return
		}
		if errno == 0 {
			h.p.unsupported(a.at, "the action Override needs argError other than 0: a call cannot be made to succeed")
			return
		}
		if h.decides {
			b.line("$deny = %d;", errno)
			if !slices.Contains(h.denies, int(errno)) {
				h.denies = append(h.denies, int(errno))
			}
		} else {
			h.mark(b, a, h.calls, errno)
		}
	case "NotifyEnforcer":
		if a.signal != 0 {
			b.line("signal(%d);", a.signal)
		}
		if errno != 0 {
			h.mark(b, a, h.p.calls, errno)
		}
	case "Set":
		b.line("usdt_set(%d, %d);", a.index, a.value)
	}
}

// mark writes the statement that makes the current system call fail.
func (h *hook) mark(b *body, a *action, calls []string, errno int64) {
	if len(calls) == 0 || !h.p.failLater(calls, a) {
		h.p.unsupported(a.at, "this kernel has no way to make the system call fail: it is built without CONFIG_FUNCTION_ERROR_INJECTION, and the call has no security hook")
		return
	}
	if !slices.Contains(h.p.script.errors, errno) {
		h.p.script.errors = append(h.p.script.errors, errno)
	}
	b.line("@tg_fail%d[tid] = 1;", errno)
}

// who returns the expressions of the event's process.
func (h *hook) who() string {
	own := "curtask.tgid, curtask.pid, curtask.group_leader.start_boottime"
	if !h.p.tracks {
		return own
	}
	for _, a := range h.args {
		key := "(uint64)" + a.variable
		switch a.name {
		case "sock":
		case "skb":
			key = "(uint64)" + a.variable + ".sk"
		case "socket":
			key = "(uint64)" + a.variable + ".sk"
		default:
			continue
		}
		of := func(i int, other string) string {
			return fmt.Sprintf("has_key(@tg_sock, %s) ? @tg_sock[%s].%d : %s", key, key, i, other)
		}
		return of(0, "curtask.tgid") + ", " + of(1, "curtask.pid") + ", " + of(2, "curtask.group_leader.start_boottime")
	}
	return own
}

// post writes the statements that send the event, or keep it until the function returns.
func (h *hook) post(b *body) {
	values := []string{"$s", "nsecs", h.who()}
	if h.many {
		values = append(values, "probe")
	}
	if h.event.KernelStack {
		values = append(values, "kstack")
	}
	if h.event.UserStack {
		values = append(values, "ustack")
	}
	var saved []string
	if h.resultsDecide() {
		saved = append(saved, "$m")
	}
	for _, a := range slices.Concat(h.args, h.data) {
		switch {
		case a.late:
			saved = append(saved, a.variable, "(uint64)"+strings.TrimPrefix(a.size, "(uint64)"))
		default:
			values = append(values, h.fields(a)...)
		}
	}
	b.open("if ($s != 0)")
	if h.ret == nil && len(saved) == 0 {
		b.line("report(%d, %s);", h.id, strings.Join(values, ", "))
	} else {
		h.p.sizes = append(h.p.sizes, fmt.Sprintf("let @tg_call%d = hash(2048);\n", h.id))
		b.line("@tg_call%d[tid] = (%s);", h.id, strings.Join(append(values, saved...), ", "))
	}
	b.close()
}

// fields returns the expressions of the values of an argument in the record.
func (h *hook) fields(a *arg) []string {
	var out []string
	for _, f := range a.t.fields {
		out = append(out, fill(f, a.variable, a.expr(), a.size))
	}
	return out
}
